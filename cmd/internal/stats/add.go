package stats

// This file makes totals of structs of counters.

import "reflect"

// Add adds the figures of from to those of to, also figures that are not shown. A field that is no figure, and
// therefore has the tag metric:"-", is replaced if from's is not zero: the total has one of those that are known.
func Add[T any](to, from *T) {
	add(reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem(), "", "")
}

// add adds one field, or an element of one, which has the tags metric and merge.
func add(to, from reflect.Value, metric, merge string) {
	switch t := to.Type(); {
	case t == counterType && merge == largest:
		to.SetUint(max(to.Uint(), from.Uint()))
	case t == counterType:
		to.SetUint(to.Uint() + from.Uint())
	case isFigure(t) && merge == largest:
		to.SetInt(max(to.Int(), from.Int()))
	case isFigure(t):
		to.SetInt(to.Int() + from.Int())
	case t.Kind() == reflect.Array:
		for k := range t.Len() {
			add(to.Index(k), from.Index(k), metric, merge)
		}
	case t.Kind() == reflect.Struct && metric != hidden:
		for k := range t.NumField() {
			tag := t.Field(k).Tag
			add(to.Field(k), from.Field(k), tag.Get("metric"), tag.Get("merge"))
		}
	case !from.IsZero():
		to.Set(from)
	}
}

// largest is the value of the tag merge for figures of which the total has the largest.
const largest = "max"
