package load

// This file tests profiles, the TOML form of a load, and the mistakes in it.

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestProfilesAreValid proves that every profile can be run as it is, alone and scaled, over both transports, and that
// it has a description.
func TestProfilesAreValid(t *testing.T) {
	for _, name := range Profiles() {
		c, err := Default(name)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := Describe(name); err != nil || len(text) < 100 {
			t.Errorf("%s is described as %q, %v", name, text, err)
		}
		for _, factor := range []float64{1, 0.1, 5} {
			scaled := c
			scaled.Scale(factor)
			scaled.PerConnection = min(scaled.PerConnection, scaled.Torrents)
			if err := scaled.Validate(); err != nil {
				t.Errorf("%s, scaled by %v: %v", name, factor, err)
			}
		}
	}
	if _, err := Default("none"); err == nil || !strings.Contains(err.Error(), "heavy, light") {
		t.Errorf("the error about an unknown profile does not list those that there are: %v", err)
	}
}

// TestScaleTogether proves that torrents of one content stay together, so that the connections that share one share all.
func TestScaleTogether(t *testing.T) {
	f := func(factor float64, want int) {
		t.Helper()
		c, err := Default("media")
		if err != nil {
			t.Fatal(err)
		}
		if c.Scale(factor); c.Torrents != want {
			t.Errorf("scaled by %v: %d torrents, want %d", factor, c.Torrents, want)
		}
	}
	f(1, 300)
	f(0.5, 150)
	f(0.333, 99)
	f(0.0001, 3)
}

// TestScale proves that scaling keeps the size of the swarms and never leaves nothing.
func TestScale(t *testing.T) {
	f := func(factor float64, wantConnections, wantTorrents int) {
		t.Helper()
		c, err := Default("heavy")
		if err != nil {
			t.Fatal(err)
		}
		if c.Scale(factor); c.Connections != wantConnections || c.Torrents != wantTorrents {
			t.Errorf("scaled by %v: %d connections, %d torrents", factor, c.Connections, c.Torrents)
		}
	}
	f(1, 4000, 100)
	f(0.1, 400, 10)
	f(2.5, 10_000, 250)
	f(0.000_01, 1, 1)
}

// TestRealIsAsMeasured proves that the profile of a public tracker has the figures it is named for.
func TestRealIsAsMeasured(t *testing.T) {
	c, err := Default("real")
	if err != nil {
		t.Fatal(err)
	}
	f := func(what string, got, want, tolerance float64) {
		t.Helper()
		if got < want-tolerance || got > want+tolerance {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	f("connections", float64(c.Connections), 42000, 0)
	f("peers in a swarm", float64(c.Connections*c.PerConnection)/float64(c.Torrents), 1.8, 0.001)
	f("new connections in a second", float64(c.Connections)/c.Life, 120, 1)
	f("minutes that a connection lives", c.Life/60, 6, 0.5)
}

// TestFileRoundTrip proves that a printed load is read as the same load, for every profile and with every key changed.
func TestFileRoundTrip(t *testing.T) {
	f := func(c Config) {
		t.Helper()
		text := c.AppendTOML(nil)
		got, err := Read("printed", text, "")
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !reflect.DeepEqual(got, c) {
			t.Errorf("printed %+v\nread %+v\n%s", c, got, text)
		}
		if again := got.AppendTOML(nil); string(again) != string(text) {
			t.Errorf("printed again it differs:\n%s\n%s", text, again)
		}
		for line := range strings.Lines(string(text)) {
			if len(line) > 121 {
				t.Errorf("a line of %d bytes: %s", len(line), line)
			}
		}
	}
	for _, name := range Profiles() {
		c, err := Default(name)
		if err != nil {
			t.Fatal(err)
		}
		f(c)
	}
	f(changed(t))
	c := changed(t)
	c.Profile, c.Storms = "storm", nil
	f(c)
}

// changed returns a load that differs from the default one in every key.
func changed(t *testing.T) Config {
	c, err := Default("light")
	if err != nil {
		t.Fatal(err)
	}
	before := c
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Int:
			f.SetInt(f.Int() + 3)
		case reflect.Uint64:
			f.SetUint(f.Uint() + 3)
		case reflect.Float64:
			f.SetFloat(f.Float() + 0.0625)
		case reflect.Bool:
			f.SetBool(!f.Bool())
		case reflect.String:
			if v.Type().Field(i).Name != "Profile" {
				f.SetString(f.String() + `"other\`)
			}
		}
	}
	c.CPUs = []int{0, 3}
	c.ServerPID = PIDs{7, 8}
	c.Storms = []Storm{{At: 1.5, Resume: true}, {At: 2}}
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; name != "Profile" &&
			reflect.DeepEqual(v.Field(i).Interface(), reflect.ValueOf(before).Field(i).Interface()) {
			t.Fatalf("%s is not changed", name)
		}
	}
	return c
}

// TestEveryKeyIsPrinted proves that each key of a load is in the printed file, with an explanation above it or above a
// group of keys that it belongs to.
func TestEveryKeyIsPrinted(t *testing.T) {
	c := changed(t)
	text, _, _ := strings.Cut(string(c.AppendTOML(nil)), "[[storm]]")
	typ := reflect.TypeFor[Config]()
	for i := range typ.NumField() {
		key := typ.Field(i).Tag.Get("toml")
		if key != "storm" && strings.Count("\n"+text, "\n"+key+" = ") != 1 {
			t.Errorf("%s is not printed once", key)
		}
		if json := typ.Field(i).Tag.Get("json"); json != key {
			t.Errorf("%s is called %s in JSON", key, json)
		}
	}
	explained := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "#"):
			explained = true
		case line == "\n":
			explained = false
		case !explained:
			t.Errorf("there is no explanation above %s", line)
		}
	}
}

// TestReadMistakes proves that a mistake in a file is reported in a sentence with its place.
func TestReadMistakes(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := Read("load.toml", []byte(text), "")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	f("interval = 1\nintervall = 2", `load.toml:2:1: there is no key "intervall"`)
	f("[[storm]]\nat = 1\nto = 2", `load.toml:3:1: there is no key "storm.to"`)
	f("offers = \"many\"", "load.toml:1:10: ")
	f("offers = 1.5", "load.toml:1:10: ")
	f("offers = ", "load.toml:1:")
	f("seed = -1", "load.toml")
	f("profile = 3", "load.toml:1:11: ")
	f(`profile = "big"`, `there is no profile "big": the profiles are heavy,`)
	f(strings.Repeat("#", maxFileSize+1), "at most 1048576")
}

// TestReadOrder proves which value wins: that of the file over the profile's, and the profile that is asked for over
// the one that the file names.
func TestReadOrder(t *testing.T) {
	f := func(text, profile string, want func(Config) bool) {
		t.Helper()
		if c, err := Read("f", []byte(text), profile); err != nil || !want(c) {
			t.Errorf("%q with %q: %+v, %v", text, profile, c, err)
		}
	}
	f("", "", func(c Config) bool { return c.Profile == DefaultProfile && c.Connections == 4000 })
	f("interval = 7", "hot", func(c Config) bool { return c.Profile == "hot" && c.Torrents == 1 && c.Interval == 7 })
	f("profile = \"max\"", "", func(c Config) bool { return c.Profile == "max" && c.Loop == "closed" })
	f("profile = \"max\"", "light", func(c Config) bool { return c.Profile == "light" && c.Loop == "open" })
	f("", "storm", func(c Config) bool { return len(c.Storms) == 2 })
	f("[[storm]]\nat = 3", "storm", func(c Config) bool { return len(c.Storms) == 1 && c.Storms[0].At == 3 })
	f("[[storm]]\nat = 1\n[[storm]]\nat = 2", "storm", func(c Config) bool {
		return len(c.Storms) == 2 && !c.Storms[1].Resume // and nothing of the profile's storms
	})
	f("storm = []", "storm", func(c Config) bool { return len(c.Storms) == 0 })
	f("cpus = [1]", "", func(c Config) bool { return len(c.CPUs) == 1 })
}

// TestSet proves that one key can be changed in the words of a command line.
func TestSet(t *testing.T) {
	f := func(assignment, want string, is func(Config) bool) {
		t.Helper()
		c := common()
		err := c.Set(assignment)
		if want == "" && (err != nil || !is(c)) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %+v, %v", assignment, c, err)
		}
	}
	f("interval=2", "", func(c Config) bool { return c.Interval == 2 })
	f("interval = 2.5", "", func(c Config) bool { return c.Interval == 2.5 })
	f("placement=tail", "", func(c Config) bool { return c.Placement == "tail" })
	f(`placement="tail"`, "", func(c Config) bool { return c.Placement == "tail" })
	f("cpus=[1, 2]", "", func(c Config) bool { return len(c.CPUs) == 2 })
	f("storm=[]", "", func(c Config) bool { return len(c.Storms) == 0 })
	f("server_pid=9", "", func(c Config) bool { return slices.Equal(c.ServerPID, PIDs{9}) })
	f("server_pid=9, 10", "", func(c Config) bool { return slices.Equal(c.ServerPID, PIDs{9, 10}) })
	f("server_pid=0", "", func(c Config) bool { return c.ServerPID == nil })
	f("server_pid=9,x", `"x" is no process`, nil)
	f("interval", "write key=value", nil)
	f("=1", "write key=value", nil)
	f("a=1\nb=2", "write key=value", nil)
	f("offer=3", `there is no key "offer"`, nil)
	f("duration=0", "", func(c Config) bool { return c.Duration == 0 })
	f("duration=2s", "write the number of seconds", nil)
	f("duration=1m30s", "write the number of seconds", nil)
	f("offers=x", "the setting \"offers=x\":1:", nil)
}

// many returns a list of n words of a form with their numbers.
func many(form string, n int) string {
	words := make([]string, n)
	for k := range words {
		words[k] = fmt.Sprintf(form, k)
	}
	return strings.Join(words, ",")
}

// TestValidate proves that each mistake is found and named, and several of them together.
func TestValidate(t *testing.T) {
	f := func(change string, want ...string) {
		t.Helper()
		c := common()
		c.Profile, c.Connections, c.Torrents = "heavy", 100, 10
		for one := range strings.SplitSeq(change, "; ") {
			if err := c.Set(one); err != nil {
				t.Fatal(err)
			}
		}
		err := c.Validate()
		if err == nil {
			t.Errorf("%s is not a mistake", change)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want %s", change, err, w)
			}
		}
		if lines := strings.Count(err.Error(), "\n") + 1; lines != len(want) {
			t.Errorf("%s: %d mistakes, want %d: %v", change, lines, len(want), err)
		}
	}
	f("profile=big", "profile: there is no profile")
	f("url=http://a/", `url is "http://a/", but must be like`)
	f("url=ws://", "url is")
	f("url=%zz", "url is")
	f("metrics_url=ws://a", "metrics_url is")
	f("metrics_url=http://a,http://a,", "http://a more than once", `metrics_url is ""`)
	f("server_pid=-1", "server_pid has -1, but a process is from 1 to 2147483647")
	f("server_pid=3,4,3", "server_pid has 3 more than once")
	f("url=ws://a,ws://b,ws://a", "url has ws://a more than once")
	f("url=ws://a,wss://b", "url has ws:// and wss:// addresses")
	f("url=ws://a,,http://b", `url is ""`, `url is "http://b"`)
	f("url="+many("ws://a%d", 17), "url has 17 addresses, but there may be at most 16")
	f("metrics_url="+many("http://a%d", 17), "metrics_url has 17 addresses")
	f("server_pid="+many("1%d", 17), "server_pid has 17 processes")
	f("spread=torrent", `spread is "torrent", but must be "clients" or "torrents"`)
	f("seed=9223372036854775807; warmup=-1", "warmup is -1, but must be from 0 to 604800")
	f("ramp=nan", "ramp is NaN")
	f("drain=inf", "drain is +Inf")
	f("duration=0", "duration is 0, but must be from 0.1 to")
	f("workers=0", "workers is 0")
	f("workers=101", "workers is 101, but there are only 100 connections")
	f("source_addresses=201", "source_addresses is 201")
	f("cpus=[-1]", "cpus has -1")
	f("connections=0", "connections is 0")
	f("loop=round", `loop is "round"`)
	f("interval=0", "interval is 0, but must be from 0.001")
	f("in_flight=0", "in_flight is 0")
	f("torrents=0", "torrents is 0", "torrents_per_connection")
	f("torrents_per_connection=11", "torrents_per_connection is 11, but there are only 10 torrents")
	f("placement=random", `placement is "random"`)
	f("placement=tail; mean_peers=0.5", "mean_peers is 0.5")
	f("connection_life=0.01", "connection_life is 0.01")
	f("slow_share=1.5", "slow_share is 1.5, but must be from 0 to 1")
	f("sdp=long", `sdp is "long", but must be "sized" or "browser"`)
	f("compression_alone=true", "compression_alone is true, but compression is not: set both")
	f("compression_window=0", "compression_window is 0, but must be from 1 to 32768")
	f("slow_bytes=0", "slow_bytes is 0")
	f("announce_once=true; loop=closed", "announce_once needs")
	f("offers=65", "offers is 65")
	f("sdp_bytes=10", "sdp_bytes is 10")
	f("answer_share=-0.1; seeder_share=2; scrape_share=3", "answer_share", "seeder_share", "scrape_share")
	f("storm=[{at=30.0}]", "a storm is at 30 s, but the measurement goes from 0 to 30 s")
	f("storm=[{at=5.0},{at=4.0}]", "list them in their order")
}
