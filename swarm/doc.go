// Package swarm remembers the peers of each torrent and decides which peers get which offers.
//
// A [Table] belongs to one shard and is used by one thread; it holds all peers of the torrents that
// the shard owns ([Owner]). It does no I/O, reads no clock and starts no goroutine: an announce, an
// answer or a scrape goes in as plain data, and the counts and receivers come out as plain data.
//
// # What is where
//
//	table.go       the Table and its counts
//	limits.go      the options, and the most that each limit can be
//	swarm.go       announces: peers join, leave, change side
//	members.go     the places of peers in their swarm and their connection; connections that close
//	successors.go  other connections with the same peer id, who stand in line for it
//	seats.go       how many peer ids a connection has in a swarm
//	pick.go        the peers that receive the offers of an announce
//	offers.go      relayed offers that wait for their answer
//	remote.go      the peers that torrents have on other nodes, by number
//	visit.go       peers of other nodes whose offers have receivers here
//	report.go      the torrents whose counts have changed, for the directory of all nodes
//	save.go        the content of a table in plain data
//	restore.go     and its way into another table
//	sweep.go       housekeeping in bounded slices
//	access.go      the torrents that are served: allow and deny lists
//	owner.go       the shard that owns a torrent
//	records.go     the hash table below all of them: records in pages, grown one bucket at a time
//	chain.go       chains of records in the order in which they came
//	lists.go       lists of slots of any length in a pool of pages
//	hash.go        the keyed hash
//
// # Memory
//
// A peer is a record of 40 bytes without pointers. With its share of the hash tables, its entry in
// the list of its swarm, and its swarm's record it takes less than 60 bytes if swarms have ten
// peers. A connection adds 25 bytes. A connection with more than 16 peers adds 17 more for each torrent.
// The garbage collector sees only the pages, some thousands of records each, and has nothing to scan in
// them. No table is ever rehashed or copied as a whole: one call pays for growth with at most one fresh
// page and one split bucket per kind of record.
//
// # Other nodes
//
// With Options.Cluster the peers of a torrent may be connected to several nodes. Each keeps its own in a Table and knows
// of the others how many there are (SetOthers), as a directory says that hears of all (Report). The node of an announcing
// peer draws how many of its offers go to each node, and that node draws who gets them (Visit). The answers find their
// way back to the connection of the sender, whose Addr has the number of its node. Nothing of this is saved for a
// successor, which hears of the other nodes anew.
//
// Without Options.Cluster nothing is noted and no record is larger.
//
// # Time
//
// Time is a number of seconds since an arbitrary start, and never goes back. A peer is fresh until it
// has not announced for Options.MaxPeerAge, then quiet until Options.MaxQuietAge, then gone. Sweep
// makes peers quiet and removes them; a Table without sweeps still answers rightly but forgets nobody.
// Only differences of times are used, so a clock may also begin shortly before 2^32 seconds and go on with 0.
package swarm
