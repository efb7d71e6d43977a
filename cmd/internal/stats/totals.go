package stats

import (
	"reflect"
	"strings"
)

// This file tells totals, which another process goes on with, from the figures of a moment.

// KeepTotals sets all figures of a struct to zero that are not totals since the start: what it leaves can be added to the figures of
// another process.
func KeepTotals[T any](v *T) { keepTotals(reflect.ValueOf(v).Elem(), "") }

// keepTotals does that for one field, or an element of one, which has the tag metric.
func keepTotals(v reflect.Value, metric string) {
	switch t := v.Type(); {
	case t == counterType || t == latencyType || t == durationType && strings.HasSuffix(metric, total):
	case t.Kind() == reflect.Array:
		for k := range t.Len() {
			keepTotals(v.Index(k), metric)
		}
	case t.Kind() == reflect.Struct && metric != hidden:
		for k := range t.NumField() {
			keepTotals(v.Field(k), t.Field(k).Tag.Get("metric"))
		}
	default:
		v.SetZero()
	}
}
