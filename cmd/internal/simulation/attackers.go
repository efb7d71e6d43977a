package simulation

import (
	"fmt"
	"net/netip"
	"strings"

	"millrace/ring/ringtest"
)

// This file owns the attackers: the lives that they lead, each without regard to the tracker's replies.

// attackerAddresses is from how many addresses the attackers of a run come.
const attackerAddresses = 3

// flood is how many messages an attacker sends in a turn of the loops. They do not fit into the turn of a connection.
const flood = 40

// attacker is one connection of an attacker.
type attacker struct {
	*ringtest.Client
	world *world
	n     int // of all attackers of the run
	life  *life
	deaf  bool
}

// life is a kind of attack. A turn of it is played in each turn of the loops.
type life struct {
	name  string
	lurk  bool // the request of the upgrade is not sent
	leave bool // the connection is reset after its turn, and another one takes its place
	deaf  bool // nothing is read
	junk  bool // offers reach honest clients, and may take the place of honest ones
	turn  func(*attacker)
}

// lives are all kinds of attack.
var lives = []life{
	{name: "half an upgrade", lurk: true, turn: func(a *attacker) { a.Write([]byte("x")) }},
	{name: "connects and leaves", leave: true, turn: func(*attacker) {}},
	{name: "pings", turn: func(a *attacker) { a.repeat(appendFrame(nil, opPing, "ping")) }},
	{name: "announces", turn: func(a *attacker) { a.repeat(a.announce(siegeHash, a.peer(0), "", 0)) }},
	{name: "scrapes without reading", deaf: true, turn: (*attacker).scrape},
	{name: "half a message", turn: (*attacker).half},
	{name: "fragments", turn: func(a *attacker) { a.repeat(appendFrame(nil, opText&^0x80, "x")) }},
	{name: "peer ids", turn: func(a *attacker) { a.Write(a.announce(siegeHash, a.peer(a.world.rng.IntN(1000)), "", 0)) }},
	{name: "torrents", turn: func(a *attacker) { a.Write(a.announce(torrent(a.world.rng.IntN(1000)), a.peer(0), "", 0)) }},
	{name: "offers", junk: true, turn: func(a *attacker) { a.Write(a.announce(siegeHash, a.peer(0), "", 10)) }},
	{name: "announces with the ids of others", turn: func(a *attacker) { a.Write(a.announce(siegeHash, a.victim(), "", 0)) }},
	{name: "ends the peers of others", turn: func(a *attacker) { a.Write(a.announce(siegeHash, a.victim(), "stopped", 0)) }},
	{name: "answers without an offer", turn: (*attacker).answer},
	{name: "no JSON", turn: func(a *attacker) { a.repeat(appendFrame(nil, opText, "not JSON")) }},
	{name: "no frames", turn: func(a *attacker) { a.Write([]byte(strings.Repeat("\xff", 1000))) }},
	{name: "ends its side", turn: func(a *attacker) { a.repeat(appendFrame(nil, opPing, "ping")); a.CloseWrite() }},
	{name: "closes and goes on", turn: func(a *attacker) { a.Write(appendFrame(nil, opClose, "\x03\xe8")); a.scrape() }},
}

// attackSome has new attackers come and those there are lead their lives for a turn.
func (w *world) attackSome() {
	kept := w.attackers[:0]
	for _, a := range w.attackers {
		if a.EOF() || a.WasReset() || a.Refused() {
			continue
		}
		kept = append(kept, a)
	}
	w.attackers = kept
	for range w.rng.IntN(3) {
		if len(w.attackers) < maxAttackers {
			w.dialAttacker()
		}
	}
	for _, a := range w.attackers {
		a.life.turn(a)
		if !a.deaf {
			a.Read()
		}
		if a.life.leave {
			a.Reset()
		}
	}
}

// dialAttacker connects an attacker of one of the lives of the run to a random shard.
func (w *world) dialAttacker() {
	w.dialed++
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(w.rng.IntN(attackerAddresses))}), uint16(w.dialed))
	a := &attacker{world: w, n: w.dialed, life: w.lives[w.rng.IntN(len(w.lives))]}
	a.deaf = a.life.deaf
	a.Client = w.k.Dial(w.loops[w.rng.IntN(len(w.loops))].ring, from)
	if !a.life.lurk {
		a.Write([]byte(upgrade))
	}
	w.attackers = append(w.attackers, a)
}

// peer returns one of the peer ids of an attacker.
func (a *attacker) peer(k int) string { return id("%s%d %d", attackerPrefix, a.n%1000, k) }

// attackerPrefix begins the peer ids of attackers, so that their offers are known.
const attackerPrefix = "attacker "

// victim returns the peer id of a witness that is in the swarm: only then do others learn it. Before the first, it is nobody's.
func (a *attacker) victim() string {
	var known []string
	for _, c := range a.world.witnesses {
		if c.present[siegeHash] {
			known = append(known, c.peer)
		}
	}
	if len(known) == 0 {
		return a.peer(0)
	}
	return known[a.world.rng.IntN(len(known))]
}

// repeat sends a frame many times.
func (a *attacker) repeat(frame []byte) { a.Write([]byte(strings.Repeat(string(frame), flood))) }

// announce returns an announce, with some offers that are all alike.
func (a *attacker) announce(hash, peer, event string, offers int) []byte {
	var list []string
	for k := range offers {
		list = append(list, fmt.Sprintf(`{"offer_id":%q,"offer":{"type":"offer","sdp":"junk"}}`, id("junk %d", k)))
	}
	return appendFrame(nil, opText, fmt.Sprintf(
		`{"action":"announce","info_hash":%q,"peer_id":%q,"event":%q,"left":%d,"offers":[%s]}`,
		hash, peer, event, a.world.rng.IntN(2), strings.Join(list, ",")))
}

// scrape asks for many torrents, many times.
func (a *attacker) scrape() {
	var hashes []string
	for k := range 64 {
		hashes = append(hashes, fmt.Sprintf("%q", torrent(k)))
	}
	a.repeat(appendFrame(nil, opText, `{"action":"scrape","info_hash":[`+strings.Join(hashes, ",")+`]}`))
}

// half sends most of a message that never ends.
func (a *attacker) half() {
	a.Write(appendFrame(nil, opText, strings.Repeat(" ", 13_000))[:12_000])
	a.life = &quiet
}

// quiet is the life of an attacker that has done its work.
var quiet = life{name: "quiet", turn: func(*attacker) {}}

// answer answers offers that nobody has made, or that others were given.
func (a *attacker) answer() {
	w := a.world
	a.Write(appendFrame(nil, opText, fmt.Sprintf(
		`{"action":"announce","info_hash":%q,"peer_id":%q,"to_peer_id":%q,"offer_id":%q,"answer":{"type":"answer","sdp":"false"}}`,
		siegeHash, a.peer(0), a.victim(), id("offer %d", w.rng.IntN(len(w.offers)+1)))))
}
