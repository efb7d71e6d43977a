package stats

// This file makes totals of structs of counters.

import "reflect"

// Add adds the figures of from to those of to, also figures that are not shown. A field that is no figure, and therefore
// has the tag metric:"-", is replaced if from's is not zero: the total has one of those that are known.
func Add[T any](to, from *T) {
	add(reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem(), "")
}

// add adds one field, which has the tag.
func add(to, from reflect.Value, tag reflect.StructTag) {
	switch t := to.Type(); {
	case t == counterType:
		if tag.Get("merge") == "max" {
			to.SetUint(max(to.Uint(), from.Uint()))
			return
		}
		to.SetUint(to.Uint() + from.Uint())
	case isFigure(t):
		if tag.Get("merge") == "max" {
			to.SetInt(max(to.Int(), from.Int()))
			return
		}
		to.SetInt(to.Int() + from.Int())
	case t.Kind() == reflect.Array:
		for k := range t.Len() {
			add(to.Index(k), from.Index(k), tag)
		}
	case t.Kind() == reflect.Struct && tag.Get("metric") != hidden:
		for k := range t.NumField() {
			add(to.Field(k), from.Field(k), t.Field(k).Tag)
		}
	case !from.IsZero():
		to.Set(from)
	}
}
