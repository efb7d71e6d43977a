package stats

// This file tests the reading of tags, the walk over series and the making of totals.

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// whole has every kind of field that the package knows.
type whole struct {
	Plain  uint64           `metric:"plain_total" help:"Plain."`
	In     uint64           `metric:"moved_total" label:"direction=in,ip_version=all" help:"Moved."`
	ByIP   [2]part          `by:"ip_version"`
	Kinds  [3]uint64        `metric:"kinds_total" by:"kind=kinds,code=codes" help:"Kinds."`
	Depth  int              `metric:"depth_bytes" help:"Depth."`
	Busy   time.Duration    `metric:"busy_seconds_total" help:"Busy."`
	Worst  time.Duration    `metric:"worst_seconds" merge:"max" help:"Worst."`
	Most   uint64           `metric:"-" merge:"max"`
	Unseen [2]int           `metric:"-"`
	Client netip.AddrPort   `metric:"-"`
	Errors [2]small         `metric:"-"`
	Other  struct{ A part } `label:"ip_version=none"`
	Waited Latency          `metric:"waited_seconds" help:"Waited."`
}

type part struct {
	Out  uint64 `metric:"moved_total" label:"direction=out"`
	Open int    `metric:"open" unit:"clients" help:"Open."`
}

type small uint16

var wholeTables = Tables{"ip_version": {"4", "6"}, "kinds": {"", "x", "y"}, "codes": {"0", "1", "2"}}

// Walk finds the series of every field, family by family, with the labels of the inner place before those of the outer;
// elements without a value for a label and hidden fields are left out.
func TestWalk(t *testing.T) {
	type inner struct {
		Out [2]uint64 `metric:"out_total" by:"kind=kinds" label:"way=out" help:"Out."`
		In  uint64    `metric:"in_total" help:"In."`
	}
	type outer struct {
		A    [2]inner      `by:"ip_version" label:"side=a"`
		B    int           `metric:"b_bytes" help:"B."`
		Busy time.Duration `metric:"busy_seconds_total" help:"Busy."`
		Not  int           `metric:"-"`
		In   uint64        `metric:"in_total" label:"ip_version=none,side=b"`
		None [2]uint64     `metric:"none_total" by:"none" help:"None."`
	}
	list, err := New[outer](Tables{"ip_version": {"4", "6"}, "kinds": {"", "x"}, "none": {"", ""}})
	if err != nil {
		t.Fatal(err)
	}
	first := outer{
		A: [2]inner{{[2]uint64{9, 1}, 2}, {[2]uint64{9, 3}, 4}}, B: 5, Busy: 6500 * time.Millisecond, Not: 9, In: 7,
	}
	var got []string
	list.Walk([]*outer{&first, {B: -8}}, func(f *Family, s *Series, k int, value float64) {
		got = append(got, fmt.Sprint(k, " ", f.Name, " ", f.Type, " ", f.Unit, " ", f.Help, s.Labels, value))
	})
	want := `0 out_total counter  Out.[{kind x} {way out} {ip_version 4} {side a}] 1
0 out_total counter  Out.[{kind x} {way out} {ip_version 6} {side a}] 3
1 out_total counter  Out.[{kind x} {way out} {ip_version 4} {side a}] 0
1 out_total counter  Out.[{kind x} {way out} {ip_version 6} {side a}] 0
0 in_total counter  In.[{ip_version 4} {side a}] 2
0 in_total counter  In.[{ip_version 6} {side a}] 4
0 in_total counter  In.[{ip_version none} {side b}] 7
1 in_total counter  In.[{ip_version 4} {side a}] 0
1 in_total counter  In.[{ip_version 6} {side a}] 0
1 in_total counter  In.[{ip_version none} {side b}] 0
0 b_bytes gauge bytes B.[] 5
1 b_bytes gauge bytes B.[] -8
0 busy_seconds_total counter seconds Busy.[] 6.5
1 busy_seconds_total counter seconds Busy.[] 0`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

// Add adds every figure of every kind, shown or not, and keeps the last of what is no figure.
func TestAdd(t *testing.T) {
	client, other := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2")
	sum := whole{
		Plain: 1, ByIP: [2]part{{1, 2}, {3, 4}}, Kinds: [3]uint64{1, 2, 3}, Depth: 5, Busy: 6, Worst: 7, Most: 8,
		Unseen: [2]int{1, 2}, Client: client, Errors: [2]small{1, 2}, Other: struct{ A part }{part{1, 2}},
	}
	Add(&sum, &whole{
		Plain: 10, In: 10, ByIP: [2]part{{10, 20}, {30, 40}}, Kinds: [3]uint64{10, 20, 30}, Depth: -7, Busy: 60, Worst: 3,
		Most: 80, Unseen: [2]int{10, 20}, Errors: [2]small{0, 3}, Other: struct{ A part }{part{10, 20}},
	})
	want := whole{
		Plain: 11, In: 10, ByIP: [2]part{{11, 22}, {33, 44}}, Kinds: [3]uint64{11, 22, 33}, Depth: -2, Busy: 66, Worst: 7,
		Most: 80, Unseen: [2]int{11, 22}, Client: client, Errors: [2]small{1, 3}, Other: struct{ A part }{part{11, 22}},
	}
	if sum != want {
		t.Errorf("got\n%+v\nwant\n%+v", sum, want)
	}
	if Add(&sum, &whole{Client: other}); sum.Client != other {
		t.Errorf("the client is %v", sum.Client)
	}
}

// A struct whose tags are incomplete or contradict each other is refused with the name of the field, so that no counter
// is forgotten on the page.
func TestNewRefuses(t *testing.T) {
	type outOpen struct {
		Open int `metric:"open" help:"Open, said otherwise."`
	}
	f := func(err error, want ...string) {
		t.Helper()
		var got []string
		if err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		ok := len(got) == len(want)
		for k := 0; ok && k < len(want); k++ {
			ok = strings.Contains(got[k], want[k])
		}
		if !ok {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	f(refusal[whole](wholeTables))
	f(refusal[struct{ A uint64 }](nil), `struct { A uint64 }.A: the name "" is not one`)
	f(refusal[struct{ a uint64 }](nil), ".a: export it")
	f(refusal[struct {
		A uint64 `metric:"A-b_total" help:"A."`
	}](nil), `.A: the name "A-b_total" is not one`)
	f(refusal[struct{ A struct{ B [2]part } }](nil), ".A.B: an array needs the tag by")
	f(refusal[struct {
		A part `by:"x" label:"direction"`
	}](nil), `.A: the label "direction" has no value`, ".A: the tag by is for arrays",
		`moved_total: the tag help has to be`, `moved_total: the label {direction } cannot be used`)
	f(refusal[struct {
		A [2]uint64 `metric:"a_total" help:"A." by:"x"`
	}](Tables{"x": {"1"}}), ".A: the table x has 1 values for 2 elements")
	f(refusal[struct {
		A outOpen `metric:"a"`
	}](nil), ".A: a struct has no name")
	f(refusal[struct {
		A small `metric:"a" help:"A."`
	}](nil), ".A: stats.small is not counted")
	f(refusal[struct {
		A part    `label:"ip=4"`
		B outOpen `label:"ip=6"`
	}](nil), `.B.Open: open is explained as "Open." and as "Open, said otherwise."`,
		".B.Open: open has two types or units", `moved_total: the tag help has to be`)
	f(refusal[struct {
		A uint64 `metric:"a_total" help:"A."`
		B int    `metric:"a_total" label:"x=y"`
		C uint64 `metric:"a_total"`
	}](nil), ".B: a_total has two types", "the labels [{x y}] and [] have different names",
		"two fields have the labels []")
	f(refusal[struct {
		A uint64 `metric:"a" help:"A"`
		B int    `metric:"b_total" help:"B."`
	}](nil), "a: the tag help has to be", "a: the name of a counter", "b_total: the name of a counter")
	f(refusal[struct {
		A [1]uint64 `metric:"a_total" help:"A." by:"x"`
	}](Tables{"x": {`"`}}), `a_total: the label {x "} cannot be used`)
}

// refusal returns the error of New.
func refusal[T any](tables Tables) error {
	_, err := New[T](tables)
	return err
}

// A figure that New accepts is a figure for Add: every series grows when a struct with 1 in every figure is added.
func TestAddReachesEverySeries(t *testing.T) {
	list, err := New[whole](wholeTables)
	if err != nil {
		t.Fatal(err)
	}
	var sum, ones whole
	setOnes(reflect.ValueOf(&ones).Elem())
	Add(&sum, &ones)
	list.Walk([]*whole{&sum, &ones}, func(f *Family, s *Series, k int, value float64) {
		if value == 0 {
			t.Errorf("%s%v is 0 in %d", f.Name, s.Labels, k)
		}
	})
}

// setOnes sets every figure to 1 (a duration to a nanosecond).
func setOnes(v reflect.Value) {
	switch t := v.Type(); {
	case t == counterType:
		v.SetUint(1)
	case isFigure(t):
		v.SetInt(1)
	case t.Kind() == reflect.Array:
		for k := range v.Len() {
			setOnes(v.Index(k))
		}
	case t.Kind() == reflect.Struct && t != reflect.TypeFor[netip.AddrPort]():
		for k := range v.NumField() {
			setOnes(v.Field(k))
		}
	}
}

// TestLatency proves that a histogram is shown as Prometheus has it: counts up to each bound, which belongs to its own part,
// the sum in seconds and the count of all.
func TestLatency(t *testing.T) {
	type timed struct {
		A [2]struct {
			Took Latency `metric:"took_seconds" help:"Took."`
		} `by:"ip_version"`
	}
	list, err := New[timed](Tables{"ip_version": {"4", "6"}})
	if err != nil {
		t.Fatal(err)
	}
	var one timed
	took := &one.A[1].Took
	took.Note(0, 2)
	took.Note(latencyBounds[0], 1)
	took.Note(latencyBounds[0]+1, 5)
	took.Note(time.Hour, 1)
	took.Note(time.Minute, 0)
	got := make(map[string]float64)
	list.Walk([]*timed{&one}, func(f *Family, s *Series, _ int, value float64) {
		if f.Type != Histogram || f.Unit != "seconds" {
			t.Errorf("%s is a %s of %s", f.Name, f.Type, f.Unit)
		}
		got[fmt.Sprint(f.Name+s.Suffix, s.Labels)] = value
	})
	for name, want := range map[string]float64{
		"took_seconds_bucket[{le 0.00005} {ip_version 6}]": 3, "took_seconds_bucket[{le 0.0001} {ip_version 6}]": 8,
		"took_seconds_bucket[{le 2.5} {ip_version 6}]": 8, "took_seconds_bucket[{le +Inf} {ip_version 6}]": 9,
		"took_seconds_count[{ip_version 6}]": 9, "took_seconds_sum[{ip_version 6}]": 3600.00040,
		"took_seconds_bucket[{le +Inf} {ip_version 4}]": 0,
	} {
		if value, ok := got[name]; !ok || math.Abs(value-want) > 1e-4 {
			t.Errorf("%s is %v, want %v", name, value, want)
		}
	}
	if want := 2 * (len(latencyBounds) + 3); len(got) != want {
		t.Errorf("%d series, want %d", len(got), want)
	}
}
