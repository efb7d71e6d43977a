// Package stats reads counters that are plain fields of plain structs. A counter is declared in one place, its field;
// totals, the metrics page and its documentation derive from the field's tags:
//
//	type Stats struct {
//		Accepted uint64          `metric:"connections_accepted_total" help:"Connections that the kernel has handed over."`
//		MovedIn  uint64          `metric:"connections_moved_total" label:"direction=in" help:"Connections that moved."`
//		MovedOut uint64          `metric:"connections_moved_total" label:"direction=out"`
//		Closed   [Reasons]uint64 `metric:"connections_closed_total" by:"reason" help:"Connections that ended."`
//		ByIP     [2]IPStats      `by:"ip_version"`
//		Last     netip.AddrPort  `metric:"-"`
//	}
//
// The type of a field says how it is counted: a uint64 is a counter, which only grows; an int is a gauge, which goes up
// and down; a [time.Duration] is shown in seconds and is a counter if its name ends in _total, else a gauge; a [Latency]
// is a histogram. Arrays of these and structs, alone or in arrays, are walked. These are the tags:
//
//   - metric is the name of the metric, without the prefix of the product; "-" marks a field that is not shown. Every
//     field but a struct needs it. Several fields, also of different structs, may share a name; their labels differ.
//   - help is the sentence that explains the metric. One of the fields that share a name has it.
//   - unit is bytes or seconds; the default follows from the end of the name.
//   - label is name=value, or several with commas, and holds for the field and all inside it.
//   - by is the name of a label, or label=table; its values are those of the table, one for each element of the array.
//     With several of these, separated by commas, an element has several labels. An element whose value is empty is not
//     shown.
//   - merge:"max" makes the largest figure that of the total, not the sum.
//
// All of this is done by reflection and belongs on the path of a scrape or a log line, never on that of a message.
package stats

import (
	"reflect"
	"time"
)

// Tables are the values of labels, by the name that the tag by has.
type Tables map[string][]string

// Label is one label of a series.
type Label struct{ Name, Value string }

// Type is a metric's type in the words of Prometheus.
type Type string

// The types.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// Family is a metric: all series of one name.
type Family struct {
	Name   string // without the prefix of the product
	Type   Type
	Unit   string // "bytes", "seconds", or "" for a number of things
	Help   string // one sentence
	Series []Series
}

// Series is one figure with its labels, the innermost first.
type Series struct {
	Labels    []Label
	Suffix    string // behind the name of the family: of the series of a histogram
	path      []int  // indices of fields and elements from the top
	cumulated bool   // the last step is the index of the last of the elements that are added up
}

// List has every series of a struct, in the order of the fields. It is not changed after New.
type List[T any] struct {
	Families []*Family
}

// Walk calls f for every series of each of the structs: family by family, in each family struct by struct. k is the
// index of the struct; durations are in seconds.
func (l *List[T]) Walk(all []*T, f func(family *Family, s *Series, k int, value float64)) {
	for _, family := range l.Families {
		for k, one := range all {
			top := reflect.ValueOf(one).Elem()
			for i := range family.Series {
				s := &family.Series[i]
				f(family, s, k, s.value(top))
			}
		}
	}
}

// value returns the figure of the series in a struct.
func (s *Series) value(v reflect.Value) float64 {
	for k, step := range s.path {
		if s.cumulated && k == len(s.path)-1 {
			return sumTo(v, step)
		}
		if v.Kind() == reflect.Array {
			v = v.Index(step)
		} else {
			v = v.Field(step)
		}
	}
	switch v.Type() {
	case counterType:
		return float64(v.Uint())
	case durationType:
		return time.Duration(v.Int()).Seconds()
	}
	return float64(v.Int())
}

// sumTo returns the sum of the counters of an array up to an index.
func sumTo(counters reflect.Value, last int) (sum float64) {
	for k := range last + 1 {
		sum += float64(counters.Index(k).Uint())
	}
	return sum
}

// The types of fields that are figures. Others, named types of these included, are not counted.
var (
	counterType  = reflect.TypeFor[uint64]()
	gaugeType    = reflect.TypeFor[int]()
	durationType = reflect.TypeFor[time.Duration]()
	latencyType  = reflect.TypeFor[Latency]()
)

// isFigure reports whether a field of the type is a figure.
func isFigure(t reflect.Type) bool { return t == counterType || t == gaugeType || t == durationType }
