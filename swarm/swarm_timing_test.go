package swarm

// This file measures the operations of a Table of a realistic size, and its memory.

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// BenchmarkMemory reports the memory of a million peers in 100,000 swarms, by the table's own count and by
// the heap's.
func BenchmarkMemory(b *testing.B) {
	const peers, swarms = 1_000_000, 100_000
	for _, perConn := range []int{1, 2, 10} {
		b.Run(fmt.Sprintf("peersPerConn=%d", perConn), func(b *testing.B) {
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				table := New(testOptions())
				fill(table, peers, swarms, perConn)
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(table.Counts().Bytes)/peers, "B/peer")
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/peers, "heapB/peer")
				runtime.KeepAlive(table)
			}
		})
	}
}

// threadTime is where the kernel writes the time for threadCPU. The address of a variable of a package stays the same.
var (
	threadTime   syscall.Timespec
	threadTimeAt = reflect.ValueOf(&threadTime).Pointer()
)

// threadCPU returns the CPU time that the calling thread has used. The caller has locked its goroutine to it.
func threadCPU() time.Duration {
	const threadClock = 3 // CLOCK_THREAD_CPUTIME_ID
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadClock, threadTimeAt, 0)
	return time.Duration(threadTime.Nano())
}

// BenchmarkGrow measures the longest announce while a million peers join a table, in CPU time of its thread, with the
// garbage collector at work. A million joins are repeated in fresh tables. Interruptions of a virtual machine count as CPU
// time too, so of each announce the shortest of its repetitions is taken: longest-µs is what growth itself takes, such as
// splits and fresh pages. It leaves out what falls on other announces each time, as the starts of the collector do; over-200µs
// counts all announces of a table that took so long.
func BenchmarkGrow(b *testing.B) {
	const peers, tables, long = 1_000_000, 4, 200 * time.Microsecond
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, offers := range []int{0, 10} {
		b.Run(fmt.Sprintf("offers=%d", offers), func(b *testing.B) {
			shortest := make([]time.Duration, peers)
			ids, targets := make([]ID, offers), make([]Target, 0, 16)
			over, longest := 0, time.Duration(0)
			for b.Loop() {
				for n := range tables {
					table := New(testOptions())
					for i := range uint32(peers) {
						a := Announce{From: Addr{Index: i, Gen: 1}, Offers: ids}
						binary.LittleEndian.PutUint32(a.Key.Hash[:], i%(peers/10))
						binary.LittleEndian.PutUint32(a.Peer[:], i)
						for k := range ids {
							binary.LittleEndian.PutUint64(ids[k][:], uint64(i)<<8|uint64(k))
						}
						before := threadCPU()
						_, targets = table.Announce(i/5000, &a, targets[:0])
						took := threadCPU() - before
						if n == 0 || took < shortest[i] {
							shortest[i] = took
						}
						if took > long {
							over++
						}
						table.Sweep(i/5000, 12)
					}
				}
				for _, took := range shortest {
					longest = max(longest, took)
				}
			}
			b.ReportMetric(float64(longest.Nanoseconds())/1e3, "longest-µs")
			b.ReportMetric(float64(over)/float64(tables*b.N), "over-200µs")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(peers*tables*b.N), "ns/join")
		})
	}
}

// BenchmarkAnnounce measures a re-announce of a random known peer, alone and with ten offers, in tables
// of two sizes whose swarms have ten peers.
func BenchmarkAnnounce(b *testing.B) {
	for _, peers := range []int{10_000, 1_000_000} {
		for _, offers := range []int{0, 10} {
			b.Run(fmt.Sprintf("peers=%d/offers=%d", peers, offers), func(b *testing.B) {
				o := testOptions()
				o.MaxOfferAge, o.MaxPendingPerPeer = 20, 20
				table := New(o)
				fill(table, peers, peers/10, 1)
				ids := make([]ID, offers)
				targets := make([]Target, 0, 16)
				b.ReportAllocs()
				for i := uint32(0); b.Loop(); i++ {
					a := announceIn(peers, i, ids)
					_, targets = table.Announce(i/5000, &a, targets[:0])
					table.Sweep(i/5000, 12)
				}
				if c := table.Counts(); c.Peers != peers || offers > 0 && c.PendingOffers == 0 {
					b.Fatalf("counts are %+v", c)
				}
			})
		}
	}
}

// announceIn returns the i-th announce of a benchmark, of one of the peers of fill, which are in swarms of ten.
func announceIn(peers int, i uint32, offers []ID) (a Announce) {
	n := i * 2654435761 % uint32(peers)
	binary.LittleEndian.PutUint32(a.Key.Hash[:], n%uint32(peers/10))
	binary.LittleEndian.PutUint32(a.Peer[:], n)
	a.From, a.Offers = Addr{Index: n, Gen: 1, Shard: uint16(n % 2)}, offers
	return a
}

// BenchmarkAmongNodes measures what BenchmarkAnnounce does, in a table of 10,000 peers with ten offers, where there are
// other nodes: without peers in these torrents; with as many on each of two; and the visits of one of these.
func BenchmarkAmongNodes(b *testing.B) {
	const peers = 10_000
	f := func(name string, others, visits bool) {
		b.Run(name, func(b *testing.B) {
			o := farOptions(peers)
			o.MaxOfferAge, o.MaxPendingPerPeer, o.MaxVisits = 20, 20, peers
			table := New(o)
			fill(table, peers, peers/10, 1)
			table.SetNodes([]uint16{1, 2})
			table.Torrents(0, peers, func(x *Torrent) {
				if others && !table.SetOthers(x.Key, []Others{leechersAt(1, 10), leechersAt(2, 10)}) {
					b.Fatal("the others are not kept")
				}
			})
			ids := make([]ID, 10)
			targets := make([]Target, 0, 16)
			b.ReportAllocs()
			for i := uint32(0); b.Loop(); i++ {
				a := announceIn(peers, i, ids)
				if visits {
					a.Peer[19], a.From.Node = 1, 1
					targets = table.Visit(i/5000, &Visit{Key: a.Key, Peer: a.Peer, From: a.From, Offers: ids}, targets[:0])
				} else {
					_, targets = table.Announce(i/5000, &a, targets[:0])
				}
				table.Sweep(i/5000, 12)
			}
			if len(targets) < 9 {
				b.Fatalf("%d targets", len(targets))
			}
		})
	}
	f("alone", false, false)
	f("others", true, false)
	f("visits", false, true)
}

// BenchmarkReport measures a change of a torrent's counts and its report, in a table of 10,000 torrents.
func BenchmarkReport(b *testing.B) {
	table := New(clusterOptions())
	many(table, 0, 10_000)
	nothing := func(*Presence) bool { return true }
	table.Report(true, 10_000, nothing)
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i++ {
		a := Announce{Left: LeftMore - Left(i/10_000%2)}
		binary.LittleEndian.PutUint32(a.Key.Hash[:], i%10_000)
		a.From.Index = i % 10_000
		table.Announce(0, &a, nil)
		table.Report(true, 1, nothing)
	}
}

// BenchmarkAnswer measures an announce with one offer and the answer to it, in a table of 100,000 peers.
func BenchmarkAnswer(b *testing.B) {
	const peers = 100_000
	table := New(testOptions())
	fill(table, peers, peers/10, 1)
	ids := make([]ID, 1)
	targets := make([]Target, 0, 1)
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i++ {
		n := i * 2654435761 % peers
		var a Announce
		binary.LittleEndian.PutUint32(a.Key.Hash[:], n%(peers/10))
		binary.LittleEndian.PutUint32(a.Peer[:], n)
		a.From = Addr{Index: n, Gen: 1, Shard: uint16(n % 2)}
		a.Offers = ids
		_, targets = table.Announce(0, &a, targets[:0])
		to := targets[0]
		if _, s := table.Answer(0, &Answer{Key: a.Key, Peer: to.Peer, From: to.To, To: a.Peer}); s != AnswerRelay {
			b.Fatal(s)
		}
	}
}

// BenchmarkJoinAndGone measures a connection that announces one new peer and closes.
func BenchmarkJoinAndGone(b *testing.B) {
	const peers = 100_000
	table := New(testOptions())
	fill(table, peers, peers/10, 1)
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i++ {
		var a Announce
		binary.LittleEndian.PutUint32(a.Key.Hash[:], i%(peers/5))
		binary.LittleEndian.PutUint32(a.Peer[:], peers+i)
		a.From = Addr{Index: peers, Gen: i}
		table.Announce(0, &a, nil)
		if table.Gone(a.From) != 1 {
			b.Fatal("the peer is not removed")
		}
	}
}

// BenchmarkJoinOnLargeConnection measures a new peer, and its end, on a connection that has as many peers as one may
// have by default, each in a swarm of its own or all in one swarm.
func BenchmarkJoinOnLargeConnection(b *testing.B) {
	const peers, ofConn = 100_000, 8192
	for _, swarms := range []uint32{1, ofConn} {
		b.Run(fmt.Sprintf("swarms=%d", swarms), func(b *testing.B) {
			o := testOptions()
			o.MaxPeersPerConnection, o.MaxIDsPerTorrent = ofConn+1, ofConn+1
			table := New(o)
			fill(table, peers, peers/10, 1)
			a := Announce{From: Addr{Index: peers}}
			for i := range uint32(ofConn) {
				binary.LittleEndian.PutUint32(a.Key.Hash[:], i%swarms)
				binary.LittleEndian.PutUint32(a.Peer[:], peers+i)
				table.Announce(0, &a, nil)
			}
			binary.LittleEndian.PutUint32(a.Peer[:], 2*peers)
			b.ReportAllocs()
			for b.Loop() {
				a.Event = EventUpdate
				table.Announce(0, &a, nil)
				a.Event = EventStopped
				if r, _ := table.Announce(0, &a, nil); r.Status != StatusRemoved {
					b.Fatal(r.Status)
				}
			}
		})
	}
}

// BenchmarkPassOver measures an announce of ten offers in a swarm of which one address holds 99 of 100 peers.
func BenchmarkPassOver(b *testing.B) {
	table := New(testOptions())
	sender := mixed(table, 5000, 0, 4950, LeftMore)
	sender.Offers = make([]ID, 10)
	targets := make([]Target, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		_, targets = table.Announce(0, &sender, targets[:0])
	}
}

// BenchmarkGone measures the closing of a connection that has 1,024 peers, each with as many pending offers
// as a peer may have by default, in a table of a million peers: in one swarm, and each in a swarm of its own.
func BenchmarkGone(b *testing.B) {
	const peers, offers = 1024, 64
	for _, swarms := range []uint32{1, peers} {
		b.Run(fmt.Sprintf("swarms=%d", swarms), func(b *testing.B) {
			o := testOptions()
			o.MaxPeersPerConnection, o.MaxIDsPerTorrent, o.MaxPendingPerPeer = peers, peers, offers
			table := New(o)
			fill(table, 1_000_000, 100_000, 1)
			ids := make([]ID, 4)
			targets := make([]Target, 0, 16)
			now := uint32(0)
			for b.Loop() {
				b.StopTimer()
				for table.Sweep(now, 1000) > 0 {
				}
				now++
				a := Announce{From: Addr{Index: 1 << 30, Gen: now}, Offers: ids}
				for i := range uint32(peers * offers / 4) {
					binary.LittleEndian.PutUint32(a.Key.Hash[:], i%swarms)
					binary.LittleEndian.PutUint32(a.Peer[:], 1<<30+i%peers)
					for k := range ids {
						binary.LittleEndian.PutUint32(ids[k][:], i*4+uint32(k))
					}
					_, targets = table.Announce(now, &a, targets[:0])
				}
				if n := table.Counts().PendingOffers; n != peers*offers {
					b.Fatalf("%d offers are pending", n)
				}
				b.StartTimer()
				if table.Gone(a.From) != peers {
					b.Fatal("the peers are not removed")
				}
			}
		})
	}
}

// BenchmarkSweep measures one entry of a sweep that finds nothing to do, in a table of a million peers.
func BenchmarkSweep(b *testing.B) {
	table := New(testOptions())
	fill(table, 1_000_000, 100_000, 1)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		table.Sweep(uint32(i>>20), 1)
		i++
	}
}

// accessFile returns an access list of n random info hashes.
func accessFile(n int) []byte {
	random := rand.NewChaCha8([32]byte{1})
	var file []byte
	for range n {
		var id ID
		_, _ = random.Read(id[:])
		file = append(hex.AppendEncode(file, id[:]), '\n')
	}
	return file
}

// BenchmarkParseAccessList measures the loading of a million info hashes, and the memory of each.
func BenchmarkParseAccessList(b *testing.B) {
	const n = 1_000_000
	file := accessFile(n)
	b.ReportAllocs()
	for b.Loop() {
		l, err := ParseAccessList(file, "list", nil)
		if err != nil || l.Len() != n {
			b.Fatal(err)
		}
		b.ReportMetric(float64(l.Bytes())/n, "B/hash")
	}
}

// BenchmarkAccessListHas measures Has for a hash that is in a list of a million, and for one that is not.
func BenchmarkAccessListHas(b *testing.B) {
	const n = 1_000_000
	l, err := ParseAccessList(accessFile(n), "list", nil)
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	listed := make([]ID, 1<<12)
	other := make([]ID, 1<<12)
	for i := range listed {
		listed[i] = l.hashes[random.IntN(n)]
		binary.LittleEndian.PutUint64(other[i][:], random.Uint64())
	}
	for name, ids := range map[string][]ID{"listed": listed, "other": other} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if l.Has(&ids[i%len(ids)]) != (name == "listed") {
					b.Fatal("the answer is wrong")
				}
				i++
			}
		})
	}
}
