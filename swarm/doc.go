// Package swarm remembers who is in which torrent and decides who is offered to whom.
//
// A [Table] belongs to one shard and is used by one thread; it holds all peers of the torrents that
// the shard owns ([Owner]). It does no I/O, reads no clock and starts nothing: an announce, an answer
// or a scrape goes in as plain data, and what is to be sent to whom comes out as plain data.
//
// # What is where
//
//	table.go    the Table, its options and its counts
//	swarm.go    announces: who joins, leaves, changes side, takes over; connections that close
//	pick.go     which peers receive the offers of an announce
//	offers.go   relayed offers that wait for their answer
//	sweep.go    housekeeping in bounded slices
//	access.go   which torrents are served: allow and deny lists
//	owner.go    which shard owns a torrent
//	records.go  the hash table below all of that: records in pages, grown one bucket at a time
//	lists.go    lists of slots of any length in a pool of pages
//	hash.go     the keyed hash
//
// # Memory
//
// A peer is a record of 40 bytes without pointers; with its share of the hash tables, its entry in
// the list of its swarm, and its swarm's record it comes to less than 60 bytes where swarms have ten
// peers. A connection adds 25 bytes. The garbage collector sees only the pages, some thousands of
// records each, and has nothing to scan in them. Nothing is ever rehashed or copied as a whole: the
// most that one call pays for growth is one fresh page and one split bucket per kind of record.
//
// # Time
//
// Time is a number of seconds since an arbitrary start, and never goes back. A peer is fresh until it
// has not announced for Options.MaxPeerAge, then quiet until Options.MaxQuietAge, then gone. Sweep
// does what time asks for; a Table that is not swept still answers rightly but forgets nobody.
package swarm
