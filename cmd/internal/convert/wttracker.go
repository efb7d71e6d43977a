package convert

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"sort"
	"strconv"
)

// This file reads the JSON of wt-tracker and of wt-tracker-rust, which has some keys more.

// wtTracker is the file as far as it has counterparts. What is left in the maps has none.
type wtTracker struct {
	Servers []struct {
		Server     map[string]any `json:"server"`
		Websockets map[string]any `json:"websockets"`
	} `json:"servers"`
	Tracker map[string]any `json:"tracker"`
	Access  struct {
		AllowOrigins    []string `json:"allowOrigins"`
		DenyOrigins     []string `json:"denyOrigins"`
		DenyEmptyOrigin bool     `json:"denyEmptyOrigin"`
	} `json:"websocketsAccess"`
}

// Defaults of both trackers.
const (
	wtHost = "0.0.0.0"
	wtPort = 8000
)

func fromJSON(name string, text []byte) (Result, error) {
	var file wtTracker
	var all map[string]any
	if err := json.Unmarshal(text, &file); err != nil {
		return Result{}, fmt.Errorf("%s: it is read as a file of wt-tracker, but is not one: %w", name, err)
	}
	_ = json.Unmarshal(text, &all) // it is an object, as just seen
	var d draft
	if v, ok := take(all, "workers"); ok {
		d.number("", "socket_workers", "workers", v)
	}
	servers := file.Servers
	if len(servers) == 0 {
		d.set("network", "address", quoted(net.JoinHostPort(wtHost, strconv.Itoa(wtPort))))
	}
	for k := range servers {
		first := k == 0
		d.server(servers[k].Server, first)
		if first {
			d.websockets(servers[k].Websockets)
		} else if len(servers[k].Websockets) > 0 {
			d.note("servers[%d].websockets is left out: the settings of the first server count for all here.", k)
		}
	}
	d.tracker(file.Tracker)
	if a := &file.Access; len(a.AllowOrigins) > 0 {
		d.set("network", "origins", list(a.AllowOrigins))
	}
	if file.Access.DenyEmptyOrigin {
		d.set("network", "deny_missing_origin", "true")
	}
	if n := len(file.Access.DenyOrigins); n > 0 {
		d.note("websocketsAccess.denyOrigins has no counterpart: only allowed origins can be listed (network.origins). %d are not denied.", n)
	}
	for _, key := range []string{"servers", "tracker", "websocketsAccess"} {
		delete(all, key)
	}
	d.leftOver("", all)
	return d.finish("wt-tracker", name)
}

// server reads servers.server, of the first server or of another one, which becomes a section [[listen]].
func (d *draft) server(s map[string]any, first bool) {
	host, _ := take(s, "host")
	port, _ := take(s, "port")
	text := fmt.Sprint(orDefault(host, wtHost))
	if text == "localhost" {
		text = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(text); err != nil {
		d.note("The host %q is a name, and network.address must be an IP address: all addresses are taken.", text)
		text = wtHost
	} else {
		text = ip.String()
	}
	address := quoted(net.JoinHostPort(text, fmt.Sprint(orDefault(port, wtPort))))
	cert, hasCert := take(s, "cert_file_name")
	key, hasKey := take(s, "key_file_name")
	secure := hasCert && hasKey
	if secure {
		path := quoted(fmt.Sprint(cert))
		if before := d.get("network", "tls_certificate_path"); before != "" && before != path {
			d.note("There are several certificates, and one for all listeners here: the last was taken. It must have all host names.")
		}
		d.set("network", "tls_certificate_path", path)
		d.set("network", "tls_private_key_path", quoted(fmt.Sprint(key)))
	}
	if !first {
		d.listens = append(d.listens, fmt.Sprintf("address = %s\ntls = %v\n", address, secure))
	} else if d.set("network", "address", address); secure {
		d.set("network", "enable_tls", "true")
	}
	if _, ok := take(s, "passphrase"); ok {
		d.note("The private key has a passphrase, which cannot be given here: write a key without one (openssl pkey).")
	}
	d.leftOver("servers.server.", s)
}

// websockets reads servers.websockets.
func (d *draft) websockets(w map[string]any) {
	if v, ok := take(w, "path"); ok && v != "/*" {
		d.note("servers.websockets.path is %v: here every path is served.", v)
	}
	if v, ok := take(w, "maxPayloadLength"); ok {
		d.number("network", "websocket_max_message_size", "servers.websockets.maxPayloadLength", v)
		d.number("network", "websocket_max_frame_size", "servers.websockets.maxPayloadLength", v)
	}
	if v, ok := take(w, "idleTimeout"); ok {
		if v == 0.0 {
			d.note("servers.websockets.idleTimeout is 0, never; here a silent client is closed after cleaning.max_connection_idle.")
		} else {
			d.number("cleaning", "max_connection_idle", "servers.websockets.idleTimeout", v)
		}
	}
	if v, ok := take(w, "compression"); ok && v != 0.0 {
		d.note("servers.websockets.compression has no counterpart: messages are not compressed.")
	}
	if v, ok := take(w, "maxConnections"); ok {
		d.number("network", "max_connections", "servers.websockets.maxConnections", v)
	}
	d.leftOver("servers.websockets.", w)
}

// tracker reads tracker.
func (d *draft) tracker(t map[string]any) {
	if v, ok := take(t, "maxOffers"); ok {
		d.number("protocol", "max_offers", "tracker.maxOffers", v)
	}
	if v, ok := take(t, "announceInterval"); ok {
		d.number("protocol", "peer_announce_interval", "tracker.announceInterval", v)
	}
	d.leftOver("tracker.", t)
}

// number sets a key to a whole number, or notes that it is none.
func (d *draft) number(section, key, from string, v any) {
	f, ok := v.(float64)
	if !ok || f != float64(int64(f)) {
		d.note("%s is %v, which is not a whole number: it is left out.", from, v)
		return
	}
	d.set(section, key, strconv.FormatInt(int64(f), 10))
}

// leftOver notes the settings that nothing has taken.
func (d *draft) leftOver(prefix string, settings map[string]any) {
	var names []string
	for name := range settings {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		d.note("%s%s has no counterpart and is left out.", prefix, name)
	}
}

// take removes a setting and returns it.
func take(settings map[string]any, name string) (value any, ok bool) {
	value, ok = settings[name]
	delete(settings, name)
	return value, ok
}

func orDefault(v, otherwise any) any {
	if v == nil {
		return otherwise
	}
	return v
}
