package ctl

import (
	"fmt"
	"strings"
	"time"

	"millrace/cmd/internal/human"
)

// This file writes answers for people: plain text in columns, a screen wide.

// AppendStatus appends the state of the tracker.
func AppendStatus(dst []byte, s *Status, now time.Time) []byte {
	dst = fmt.Appendf(dst, "millrace %s, process %d on Linux %s, up for %s\n", s.Version, s.PID, s.Kernel, human.Span(s.Uptime))
	row := func(name, format string, args ...any) {
		dst = fmt.Appendf(dst, "%-14s", name)
		dst = append(fmt.Appendf(dst, format, args...), '\n')
	}
	row("listening", "%s", strings.Join(s.Listening, "  "))
	if s.Configuration != "" {
		row("configuration", "%s, read %s ago", s.Configuration, human.Span(now.Sub(s.ReadAt).Seconds()))
	}
	row("clients", "%d (%d IPv4, %d IPv6) of %d", s.Clients, s.ClientsIPv4, s.ClientsIPv6, s.MostClients)
	row("peers", "%d (%s) of %d, in %s", s.Peers, human.Count(s.Seeders, "seeder"), s.MostPeers, human.Count(s.Torrents, "torrent"))
	row("each second", "%s announces, %s offers, %s answers; %s in, %s out", human.Short(s.Rates.Announces), human.Short(s.Rates.Offers),
		human.Short(s.Rates.Answers), human.Bytes(s.Rates.Received), human.Bytes(s.Rates.Sent))
	row("memory", "%s%s", human.Bytes(float64(s.Memory)), of(s.MemoryLimit > 0, human.Bytes(float64(s.MemoryLimit))))
	if s.Descriptors > 0 {
		row("descriptors", "%d of %d", s.Descriptors, s.MostDescr)
	}
	if s.Banned > 0 {
		row("banned", "%s", human.Plural(s.Banned, "address", "addresses"))
	}
	for _, c := range s.Certificates {
		row("certificate", "%s", c.text(now))
	}
	if c := s.Cluster; c != nil {
		row("cluster", "%s", c.text())
	}
	dst = append(dst, "\nshard  clients    peers  torrents    CPU  longest turn\n"...)
	for k := range s.Shards {
		h := &s.Shards[k]
		dst = fmt.Appendf(dst, "%5d %8d %8d %9d %4.0f %% %10.1f ms", k, h.Clients, h.Peers, h.Torrents, 100*h.CPU, 1000*h.LongestTurn)
		if h.Silent >= silentTooLong {
			dst = fmt.Appendf(dst, "  stands still for %s", human.Span(h.Silent))
		}
		dst = append(dst, '\n')
	}
	dst = append(dst, '\n')
	if d := s.Drain; d != nil {
		dst = append(d.Append(dst), '\n')
	}
	if s.UnderWay != "" {
		dst = append(append(dst, s.UnderWay...), '\n')
	}
	if len(s.Problems) == 0 {
		return append(dst, "no problems\n"...)
	}
	for _, p := range s.Problems {
		dst = fmt.Appendf(dst, "! %s\n", p)
	}
	return dst
}

// silentTooLong is the silence of a loop, in seconds, that a reader should see.
const silentTooLong = 5

// of returns the words for a limit, if there is one.
func of(is bool, limit string) string {
	if !is {
		return ""
	}
	return " of " + limit
}

func (c *Certificate) text(now time.Time) string {
	left := c.NotAfter.Sub(now)
	text := fmt.Sprintf("%s, good for %s (until %s)", c.Name, human.Span(left.Seconds()), c.NotAfter.UTC().Format(time.DateOnly))
	switch {
	case c.NotAfter.IsZero():
		text = c.Name + ", none yet"
	case left <= 0:
		text = c.Name + ", expired on " + c.NotAfter.UTC().Format(time.DateOnly)
	}
	if c.Trouble != "" {
		text += "; " + c.Trouble
	}
	return text
}

// Append appends how far a drain has come.
func (d *Drain) Append(dst []byte) []byte {
	return fmt.Appendf(dst, "draining: %d clients left, %s to go", d.Left, human.Span(d.Seconds))
}

// AppendTop appends who uses the tracker most.
func AppendTop(dst []byte, t *Top) []byte {
	dst = fmt.Appendf(dst, "each second, over the last %.1f s\n\n", t.Seconds)
	usage := func(title string, all []UsageRow, last string) {
		dst = fmt.Appendf(dst, "%-39s %8s %9s %9s %7s %s\n", title, "messages", "in", "out", "drops", last)
		for k := range all {
			r := &all[k]
			column := r.Connection
			if column == "" {
				column = fmt.Sprintf("%11d", r.Connections)
			}
			dst = fmt.Appendf(dst, "%-39s %8s %9s %9s %7s %s\n", r.Client, human.Short(r.Messages), human.Bytes(r.Received), human.Bytes(r.Sent),
				human.Short(r.Dropped), column)
		}
		dst = append(dst, '\n')
	}
	usage("ADDRESS", t.Addresses, "connections")
	usage("CLIENT", t.Clients, "connection")
	dst = fmt.Appendf(dst, "%-40s %9s %9s %9s\n", "TORRENT", "~messages", "seeders", "leechers")
	for k := range t.Torrents {
		r := &t.Torrents[k]
		dst = fmt.Appendf(dst, "%-40s %9s %9d %9d\n", r.InfoHash, human.Short(r.Messages), r.Seeders, r.Leechers)
	}
	return dst
}

// AppendClient appends what is known of an address.
func AppendClient(dst []byte, c *Client) []byte {
	dst = fmt.Appendf(dst, "%s: %s\n", c.Address, human.Count(c.All, "connection"))
	if u := c.Usage; u != nil {
		dst = fmt.Appendf(dst, "it uses %s, %s, %s; %s waiting for it, %s of incomplete messages\n",
			human.Count(u.Connections, "connection"), human.Count(u.Peers, "peer"), human.Count(u.Handshakes, "TLS handshake"),
			human.Bytes(float64(u.Unsent)), human.Bytes(float64(u.HalfBuilt)))
		if u.Offences > 0 {
			dst = fmt.Appendf(dst, "it broke limits %s within a minute\n", human.Count(u.Offences, "time"))
		}
		if u.Banned > 0 {
			dst = fmt.Appendf(dst, "it is banned for %s\n", human.Span(u.Banned))
		}
	}
	for k := range c.Connections {
		dst = c.Connections[k].append(append(dst, '\n'))
	}
	if more := c.All - len(c.Connections); more > 0 {
		dst = fmt.Appendf(dst, "\nand %s\n", human.Count(more, "more connection"))
	}
	if len(c.Events) > 0 {
		dst = append(dst, "\nlast events, in seconds since the start:\n"...)
		for _, e := range c.Events {
			dst = append(append(dst, e...), '\n')
		}
	}
	return dst
}

func (c *Connection) append(dst []byte) []byte {
	tls := ""
	if c.TLS {
		tls = ", TLS"
	}
	dst = fmt.Appendf(dst, "%s  connection %s, %s%s", c.Client, c.Name, c.State, tls)
	for _, r := range c.Remarks {
		dst = append(append(dst, ", "...), r...)
	}
	dst = fmt.Appendf(dst, "\n  here for %s, silent for %s; %s, %s in, %s out, %s dropped", human.Span(float64(c.Since)),
		human.Span(float64(c.Silent)), human.Count(int(c.Messages), "message"), human.Bytes(float64(c.Received)), human.Bytes(float64(c.Sent)),
		human.Count(int(c.Dropped), "frame"))
	if c.Waiting+c.HalfBuilt > 0 {
		dst = fmt.Appendf(dst, "\n  %s waiting for it, %s of an incomplete message", human.Bytes(float64(c.Waiting)), human.Bytes(float64(c.HalfBuilt)))
	}
	dst = append(dst, '\n')
	for k := range c.Torrents {
		p := &c.Torrents[k]
		dst = p.append(fmt.Appendf(dst, "  %s  ", p.InfoHash))
	}
	return dst
}

func (p *Peer) append(dst []byte) []byte {
	role := "leecher"
	if p.Seeder {
		role = "seeder"
	}
	if p.Waits {
		role += ", waits for its peer id"
	}
	if p.Quiet {
		role += ", quiet"
	}
	dst = fmt.Appendf(dst, "%s  %s, %s, announced %s ago", p.PeerID, p.Software, role, human.Span(float64(p.Announced)))
	if p.Address != "" {
		dst = append(append(dst, ", "...), p.Address...)
	}
	return append(dst, '\n')
}

// AppendTorrent appends what is known of a torrent.
func AppendTorrent(dst []byte, t *Torrent) []byte {
	for k := range t.Swarms {
		s := &t.Swarms[k]
		family := ""
		if s.IPVersion != "both" {
			family = ", IPv" + s.IPVersion
		}
		dst = fmt.Appendf(dst, "%s: %s, %s, downloaded %s; shard %d%s\n", s.InfoHash, human.Count(s.Seeders, "seeder"),
			human.Count(s.Leechers, "leecher"), human.Count(s.Downloaded, "time"), s.Shard, family)
	}
	if more := t.All - len(t.Swarms); more > 0 {
		dst = fmt.Appendf(dst, "and %s that begin so\n", human.Count(more, "more torrent"))
	}
	if len(t.Peers) > 0 {
		dst = append(dst, '\n')
	}
	all := 0
	for k := range t.Swarms {
		all += t.Swarms[k].Seeders + t.Swarms[k].Leechers
	}
	for k := range t.Peers {
		if len(t.Swarms) > 1 {
			dst = append(append(dst, t.Peers[k].InfoHash...), "  "...)
		}
		dst = t.Peers[k].append(dst)
	}
	if more := all - len(t.Peers); more > 0 && len(t.Peers) > 0 {
		dst = fmt.Appendf(dst, "and %s\n", human.Count(more, "more peer"))
	}
	return dst
}

// AppendReloaded appends the files that were read again.
func AppendReloaded(dst []byte, r *Reloaded) []byte {
	for _, f := range r.Files {
		if f.Error == "" {
			dst = fmt.Appendf(dst, "%s: read again%s\n", f.Key, f.Note)
		} else {
			dst = fmt.Appendf(dst, "%s: the previous version stays in force: %s\n", f.Key, f.Error)
		}
	}
	return dst
}

// text returns the state of a cluster in one line.
func (c *Cluster) text() string {
	if !c.Connected {
		return "no connection to NATS: this node is alone"
	}
	if len(c.Nodes) == 0 {
		return "no other nodes"
	}
	var nodes []string
	for _, n := range c.Nodes {
		nodes = append(nodes, fmt.Sprintf("%s (%s)", n.Name, human.Count(n.Clients, "client")))
	}
	return "with " + strings.Join(nodes, ", ")
}
