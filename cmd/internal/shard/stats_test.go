package shard

// This file tests what the counters of a shard add to package stats: their tags, their tables and their totals.

import (
	"reflect"
	"testing"

	"millrace/cmd/internal/stats"
	"millrace/wsproto"
)

// Every counter is on the metrics page or marked as hidden, and every label has a value for each element.
func TestStatsAreDescribed(t *testing.T) {
	if _, err := stats.New[Stats](Tables()); err != nil {
		t.Error(err)
	}
}

// A total has every figure of the shards in it: the sum of two equal shards has twice of each.
func TestStatsAdd(t *testing.T) {
	list, err := stats.New[Stats](Tables())
	if err != nil {
		t.Fatal(err)
	}
	var one Stats
	fill(reflect.ValueOf(&one).Elem(), 1)
	sum := one
	sum.Add(&one)
	var want []float64
	list.Walk([]*Stats{&one}, func(_ *stats.Family, _ *stats.Series, _ int, value float64) {
		want = append(want, 2*value)
	})
	list.Walk([]*Stats{&sum}, func(f *stats.Family, s *stats.Series, _ int, value float64) {
		if value != want[0] || value == 0 {
			t.Errorf("%s %v is %v in the total, want %v", f.Name, s.Labels, value, want[0])
		}
		want = want[1:]
	})
	if sum.Torrents.GoneWaiting != 2*one.Torrents.GoneWaiting || sum.Torrents.Families[1].Peers != 2*one.Torrents.Families[1].Peers ||
		sum.Torrents.Swarm.Peers != 2*one.Torrents.Swarm.Peers || sum.Post.Backlogged != 2*one.Post.Backlogged {
		t.Errorf("the total %+v is not twice %+v", sum, one)
	}
}

// fill sets every counter and gauge to another number, counting from n, and returns the next.
func fill(v reflect.Value, n int) int {
	switch v.Kind() {
	case reflect.Uint64:
		v.SetUint(uint64(n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(n))
	case reflect.Array:
		for k := range v.Len() {
			n = fill(v.Index(k), n)
		}
		return n
	case reflect.Struct:
		for k := range v.NumField() {
			if v.Field(k).CanSet() {
				n = fill(v.Field(k), n)
			}
		}
		return n
	}
	return n + 1
}

// Every HTTP error with a counter of its own is one that can be sent, and any other has the last counter.
func TestStatsOfRefusals(t *testing.T) {
	var s Messages
	for k, status := range refusalStatuses {
		if status == 0 {
			status = 599
		} else {
			wsproto.AppendHTTPError(nil, status, false) // panics if there is no such response
		}
		if s.countRefusal(status); s.RefusedByStatus[k] != 1 {
			t.Errorf("%d is not counted by itself: %v", status, s.RefusedByStatus)
		}
	}
}
