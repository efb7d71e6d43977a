package swarm_test

// This file shows one Table from the first announce of a torrent to its last.

import (
	"fmt"

	"millrace/swarm"
)

// id returns an id that begins with a name.
func id(name string) (id swarm.ID) {
	copy(id[:], name)
	return id
}

// Two peers of a torrent meet: the second one announces with an offer, and the first one answers it.
func Example() {
	table := swarm.New(swarm.Options{
		Seed:       [2]uint64{1, 2}, // random in a real tracker
		MaxPeerAge: 180, MaxQuietAge: 1800, MaxOfferAge: 120,
		MaxPeersPerConnection: 100, MaxIDsPerTorrent: 4, MaxPeers: 1000, MaxPendingOffers: 1000, MaxPendingPerPeer: 64,
	})
	torrent := swarm.Key{Hash: id("torrent"), Family: 4}
	alice, bob := swarm.Addr{Index: 1, Gen: 1}, swarm.Addr{Index: 2, Gen: 1} // their connections
	var targets []swarm.Target

	result, _ := table.Announce(0, &swarm.Announce{
		Key: torrent, Peer: id("alice"), From: alice, Left: swarm.LeftZero,
	}, nil)
	fmt.Printf("alice: %s, %d complete, %d incomplete\n", result.Status, result.Complete, result.Incomplete)

	offers := []swarm.ID{id("offer one"), id("offer two")}
	result, targets = table.Announce(5, &swarm.Announce{
		Key: torrent, Peer: id("bob"), From: bob, Left: swarm.LeftMore, Offers: offers,
	}, targets[:0])
	fmt.Printf("bob: %s, %d complete, %d incomplete\n", result.Status, result.Complete, result.Incomplete)
	for i, target := range targets {
		fmt.Printf("%.9s goes to %.5s, connection %d\n", offers[i], target.Peer, target.To.Index)
	}

	answer := swarm.Answer{Key: torrent, Peer: id("alice"), From: alice, To: id("bob"), Offer: id("offer one")}
	to, status := table.Answer(6, &answer)
	fmt.Printf("answer: %s, connection %d\n", status, to.Index)
	_, status = table.Answer(7, &answer)
	fmt.Printf("answer again: %s\n", status)

	fmt.Println("bob's connection closes:", table.Gone(bob), "peer")
	complete, incomplete, _ := table.Scrape(torrent)
	fmt.Printf("scrape: %d complete, %d incomplete\n", complete, incomplete)
	// Output:
	// alice: added, 1 complete, 0 incomplete
	// bob: added, 1 complete, 1 incomplete
	// offer one goes to alice, connection 1
	// answer: relay, connection 2
	// answer again: no such offer
	// bob's connection closes: 1 peer
	// scrape: 1 complete, 0 incomplete
}

// A rule takes torrents out of service at once, and the sweeps that follow remove their peers.
func ExampleTable_SetAccess() {
	list, err := swarm.ParseAccessList([]byte("746f7272656e7400000000000000000000000000\n"), "denied.txt", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	table := swarm.New(swarm.Options{MaxPeerAge: 180, MaxQuietAge: 1800, MaxPeersPerConnection: 1, MaxIDsPerTorrent: 1, MaxPeers: 1})
	announce := swarm.Announce{Key: swarm.Key{Hash: id("torrent"), Family: 4}, Peer: id("alice")}
	table.Announce(0, &announce, nil)

	table.SetAccess(&swarm.Access{Mode: swarm.AccessDeny, List: list})
	result, _ := table.Announce(1, &announce, nil)
	fmt.Println(result.Status)
	for table.Sweep(1, 100) > 0 {
	}
	fmt.Println(table.Counts().Peers, "peers,", table.Counts().PeersForbidden, "removed")
	// Output:
	// forbidden
	// 0 peers, 1 removed
}
