package stats

// This file reads the tags of a struct, once, and refuses what is incomplete or contradicts itself.

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// hidden is the name of metrics that are not shown.
const hidden = "-"

// New lists the series of a struct. The error names every field that has no name and is not marked as hidden, and every
// tag that cannot be used: a program whose structs are right never sees one.
func New[T any](tables Tables) (*List[T], error) {
	r := &reader{tables: tables}
	r.fields(reflect.TypeFor[T](), place{name: reflect.TypeFor[T]().String()})
	for _, family := range r.families {
		r.check(family)
	}
	return &List[T]{r.families}, errors.Join(r.problems...)
}

// reader is the state of New.
type reader struct {
	tables   Tables
	families []*Family
	problems []error
}

// place is where in the struct the reader is.
type place struct {
	name   string // for messages
	path   []int
	labels []Label // that hold for all in it
}

// inside returns the place of a part. Its labels come before those of the whole.
func (p place) inside(name string, step int, labels []Label) place {
	return place{p.name + name, append(slices.Clip(p.path), step), append(labels, p.labels...)}
}

func (r *reader) problem(p place, format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf(p.name+": "+format, args...))
}

// fields reads the fields of a struct.
func (r *reader) fields(t reflect.Type, p place) {
	for k := range t.NumField() {
		f := t.Field(k)
		in := p.inside("."+f.Name, k, nil)
		switch {
		case !f.IsExported():
			r.problem(in, "export it, nothing can be added to it")
		case f.Tag.Get("metric") != hidden:
			in.labels = append(r.fixed(f.Tag, in), in.labels...)
			r.field(f, in)
		}
	}
}

// field reads one field, element by element if it is an array.
func (r *reader) field(f reflect.StructField, p place) {
	by := f.Tag.Get("by")
	if f.Type.Kind() != reflect.Array {
		if by != "" {
			r.problem(p, "the tag by is for arrays")
		}
		r.figure(f.Type, f.Tag, p)
		return
	}
	if by == "" {
		r.problem(p, "an array needs the tag by, with the label that tells its elements apart")
		return
	}
	rows := make([][]Label, f.Type.Len())
	for one := range strings.SplitSeq(by, ",") {
		label, table, named := strings.Cut(one, "=")
		if !named {
			table = label
		}
		values := r.tables[table]
		if len(values) != len(rows) {
			r.problem(p, "the table %s has %d values for %d elements", table, len(values), len(rows))
			return
		}
		for k := range rows {
			rows[k] = append(rows[k], Label{label, values[k]})
		}
	}
	for k, labels := range rows {
		if !slices.ContainsFunc(labels, func(l Label) bool { return l.Value == "" }) {
			r.figure(f.Type.Elem(), f.Tag, p.inside(fmt.Sprintf("[%d]", k), k, labels))
		}
	}
}

// figure reads a figure, or a struct of figures.
func (r *reader) figure(t reflect.Type, tag reflect.StructTag, p place) {
	name := tag.Get("metric")
	switch {
	case t == latencyType && goodName.MatchString(name):
		for _, s := range latencySeries(p) {
			r.add(Family{Name: name, Type: Histogram, Unit: unitOf(tag, name), Help: tag.Get("help")}, s, p)
		}
		return
	case t.Kind() == reflect.Struct:
		if name != "" {
			r.problem(p, "a struct has no name of its own, its fields have")
		}
		r.fields(t, p)
		return
	case !isFigure(t):
		r.problem(p, `%v is not counted: use uint64, int or time.Duration, or mark it with metric:"-"`, t)
		return
	case !goodName.MatchString(name):
		r.problem(p, `the name %q is not one: give it a name, or mark it with metric:"-"`, name)
		return
	}
	r.add(Family{
		Name: name,
		Type: typeOf(t, name),
		Unit: unitOf(tag, name),
		Help: tag.Get("help"),
	}, Series{Labels: p.labels, path: p.path}, p)
}

// add adds a series to the family that its field describes.
func (r *reader) add(described Family, s Series, p place) {
	k := slices.IndexFunc(r.families, func(f *Family) bool { return f.Name == described.Name })
	if k < 0 {
		k = len(r.families)
		r.families = append(r.families, &described)
	}
	family := r.families[k]
	if family.Help == "" {
		family.Help = described.Help
	}
	if described.Help != "" && described.Help != family.Help {
		r.problem(p, "%s is explained as %q and as %q", family.Name, family.Help, described.Help)
	}
	if described.Type != family.Type || described.Unit != family.Unit {
		r.problem(p, "%s has two types or units", family.Name)
	}
	family.Series = append(family.Series, s)
}

// check looks at a whole family.
func (r *reader) check(f *Family) {
	p := place{name: f.Name}
	if !strings.HasSuffix(f.Help, ".") || strings.ContainsAny(f.Help, "\n\\") {
		r.problem(p, "the tag help has to be one sentence, with a full stop: %q", f.Help)
	}
	if (f.Type == Counter) != strings.HasSuffix(f.Name, total) {
		r.problem(p, "the name of a counter, and of nothing else, ends in "+total)
	}
	seen := make(map[string]bool)
	for _, s := range f.Series {
		if s.Suffix == f.Series[0].Suffix && !slices.EqualFunc(s.Labels, f.Series[0].Labels, func(a, b Label) bool { return a.Name == b.Name }) {
			r.problem(p, "the labels %v and %v have different names", s.Labels, f.Series[0].Labels)
		}
		for k, l := range s.Labels {
			twice := slices.ContainsFunc(s.Labels[:k], func(other Label) bool { return other.Name == l.Name })
			if twice || !goodName.MatchString(l.Name) || strings.ContainsAny(l.Value, "\"\\\n") {
				r.problem(p, "the label %v cannot be used", l)
			}
		}
		if text := fmt.Sprint(s.Suffix, s.Labels); seen[text] {
			r.problem(p, "two fields have the labels %v", s.Labels)
		} else {
			seen[text] = true
		}
	}
}

// total ends the names of counters.
const total = "_total"

// goodName matches names of metrics and labels.
var goodName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// fixed returns the labels of the tag label.
func (r *reader) fixed(tag reflect.StructTag, p place) (labels []Label) {
	all := tag.Get("label")
	if all == "" {
		return nil
	}
	for one := range strings.SplitSeq(all, ",") {
		name, value, _ := strings.Cut(one, "=")
		if value == "" {
			r.problem(p, "the label %q has no value", one)
		}
		labels = append(labels, Label{name, value})
	}
	return labels
}

// typeOf returns the type of a metric whose fields have the type t.
func typeOf(t reflect.Type, name string) Type {
	if t == counterType || t == durationType && strings.HasSuffix(name, total) {
		return Counter
	}
	return Gauge
}

// unitOf returns the unit of a metric.
func unitOf(tag reflect.StructTag, name string) string {
	if unit, ok := tag.Lookup("unit"); ok {
		return unit
	}
	name = strings.TrimSuffix(name, total)
	for _, unit := range []string{"bytes", "seconds"} {
		if strings.HasSuffix(name, "_"+unit) {
			return unit
		}
	}
	return ""
}
