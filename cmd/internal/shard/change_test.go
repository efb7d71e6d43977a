package shard

import (
	"maps"
	"millrace/cmd/internal/guard"
	"reflect"
	"slices"
	"strings"
	"testing"

	"millrace/wsproto"
)

// This file tests the change of options while a shard runs.

// TestChange proves that Change takes every option but those that are named here, and tells the parts: so an option that is
// added later either changes or stands in this list.
func TestChange(t *testing.T) {
	stays := []string{
		"ID", "Shards", "MaxConnections", "OwnerSeed", "SourceSeed", "Swarm.Seed", "Swarm.Count", "Swarm.Observe",
		"Addresses", "Pressure", "ShareFamilies", "FollowTorrents", "EndedPerStep", "TLS", "Health", "Token", "Page", "Origins",
		"TrustedProxies", "Guard.Exempt", // pointers, functions and lists, which this test does not make up
	}
	s := newWorld(t, 1, nil).shards[0]
	before := numbers(reflect.ValueOf(s.opt), "")
	var next Options
	setAll(reflect.ValueOf(&next).Elem(), 7)
	s.Change(next)
	after := numbers(reflect.ValueOf(s.opt), "")
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if same := before[name] == after[name]; same != slices.Contains(stays, name) && !slices.Contains(stays, name) {
			t.Errorf("%s is as before: let Change take it, or name it here", name)
		} else if !same && slices.Contains(stays, name) {
			t.Errorf("%s has changed, and must not", name)
		}
	}
	if got := s.scratch.dec; got != (wsproto.Decoder{MaxOffers: 7, MaxScrape: 7}) {
		t.Errorf("the decoder has %+v", got)
	}
}

// numbers returns the fields that are numbers or truth values, by their names.
func numbers(v reflect.Value, prefix string) map[string]any {
	out := make(map[string]any)
	for k := range v.NumField() {
		f, name := v.Field(k), prefix+v.Type().Field(k).Name
		switch f.Kind() {
		case reflect.Struct:
			maps.Copy(out, numbers(f, name+"."))
		case reflect.Bool, reflect.Int, reflect.Uint32, reflect.Int64:
			out[name] = f.Interface()
		}
	}
	return out
}

// setAll sets every such field to n, or to true.
func setAll(v reflect.Value, n int) {
	for k := range v.NumField() {
		switch f := v.Field(k); f.Kind() {
		case reflect.Struct:
			setAll(f, n)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int, reflect.Int64:
			f.SetInt(int64(n))
		case reflect.Uint32:
			f.SetUint(uint64(n))
		}
	}
}

// TestChangedLimits proves that a change counts for the clients that are there: for the interval in replies, the offers of an
// announce, the rate of messages, the length of one, the peers of a connection and the trusted proxies; and that limits that
// were off can be put on and off again.
func TestChangedLimits(t *testing.T) {
	var off Limits
	table := off.Addresses(1024, guard.Secret{})
	w := newWorld(t, 1, func(o *Options) { o.Addresses = table })
	a, b := w.dial(0, "192.0.2.1"), w.dial(0, "192.0.2.2")
	w.run()
	change := func(f func(*Options)) {
		o := testOptions(0, 1)
		f(&o)
		o.Guard.Change(table)
		w.shards[0].Change(o)
	}
	reply := func(n int) (interval any, offers int) {
		b.text(announce(id("hash"), id("b"), 0, nil))
		w.run()
		b.messages()
		a.text(announce(id("hash"), id("a"), n, nil))
		w.run()
		for _, m := range a.messages() {
			interval = m["interval"]
		}
		return interval, len(b.messages())
	}
	if interval, offers := reply(1); interval != 120.0 || offers != 1 {
		t.Fatalf("interval %v, %d offers", interval, offers)
	}
	change(func(o *Options) { o.Interval, o.MaxOffers = 300, 0 })
	if interval, offers := reply(1); interval != 300.0 || offers != 0 {
		t.Errorf("after the change: interval %v, %d offers", interval, offers)
	}
	change(func(o *Options) { o.TrustedProxies = everybody })
	if proxied := w.accept(0, "192.0.2.3"); true {
		proxied.send([]byte(strings.Replace(testHead, "\r\n", "\r\nX-Forwarded-For: 198.51.100.7\r\n", 1)))
		w.run()
		if got := w.shards[0].table.At(proxied.slot.Index).Client().Addr().String(); got != "198.51.100.7" {
			t.Errorf("the client behind the new proxy is %s", got)
		}
	}
	limits := Limits{
		Active: true, ConnectionsPerAddress: 1, ConnectionsPerAddressRate: 10, ConnectionsPerAddressBurst: 10,
		MessagesPerConnectionRate: 1, MessagesPerConnectionBurst: 2, BytesPerConnectionRate: 1 << 20, BytesPerConnectionBurst: 1 << 20,
		BytesPerConnectionTurn: 1 << 14, KeyUpdatesPerMinute: 1,
	}
	change(func(o *Options) { o.Guard = limits })
	first, second := w.accept(0, "192.0.2.9"), w.accept(0, "192.0.2.9")
	w.run()
	if first.gone || !second.gone {
		t.Errorf("with one connection for each address the first is gone: %v, the second: %v", first.gone, second.gone)
	}
	change(func(*Options) {})
	third := w.accept(0, "192.0.2.9")
	w.run()
	if third.gone {
		t.Error("limits that are off again refuse a client")
	}
	change(func(o *Options) { o.Limits.Message = 100 })
	a.text(announce(id("hash"), id("a"), 1, nil))
	w.run()
	if code := a.closeCode(); code != 1009 {
		t.Errorf("a message over the new limit: close code %d", code)
	}
	for _, c := range w.all {
		c.hangUp(0)
	}
	w.run()
	w.checkEmpty()
	if n := table.Stats(w.now).InUse; n != 0 {
		t.Errorf("%d addresses are still counted", n)
	}
}
