package plot

// This file tests the scales and the paper.

import (
	"math"
	"slices"
	"testing"
)

// TestTicks proves that the values at an axis are round, lie within the scale, and that a scale without an extent has
// none.
func TestTicks(t *testing.T) {
	f := func(s Scale, want ...float64) {
		t.Helper()
		near := func(a, b float64) bool { return math.Abs(a-b) <= math.Abs(b)*1e-9 }
		if got := s.Ticks(); !slices.EqualFunc(got, want, near) {
			t.Errorf("%+v has ticks at %v, want %v", s, got, want)
		}
	}
	f(Scale{Low: 0, High: 4}, 0, 1, 2, 3, 4)
	f(Scale{Low: 0, High: 10}, 0, 2, 4, 6, 8, 10)
	f(Scale{Low: 3, High: 9000}, 2000, 4000, 6000, 8000)
	f(Scale{Low: 0.4, High: 30, Log: true}, 0.5, 1, 2, 5, 10, 20)
	f(Scale{Low: 3, High: 3})
	f(Scale{Low: 0, High: math.NaN()})
	f(Scale{Low: 0, High: math.Inf(1)})
	f(Scale{Low: 0, High: 3, Log: true})
}

// TestAt proves that the ends of a scale are at its pixels, that a logarithmic one has equal ratios at equal distances,
// and that it has its lowest value in place of nothing.
func TestAt(t *testing.T) {
	f := func(s Scale, v, want float64) {
		t.Helper()
		if got := s.At(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v is at %v, want %v", v, got, want)
		}
	}
	linear := Scale{Low: 10, High: 20, From: 100, To: 0}
	f(linear, 10, 100)
	f(linear, 20, 0)
	f(linear, 15, 50)
	decades := Scale{Low: 1, High: 1000, From: 0, To: 300, Log: true}
	f(decades, 10, 100)
	f(decades, 1000, 300)
	f(decades, 0, 0)
	if s := Cover([]float64{13, 2, 6}, 0, 1); s.At(1.9) <= 0 || s.At(14) >= 1 || !s.Log {
		t.Errorf("%+v does not cover 2 to 13", s)
	}
}

// TestNumbers proves how the numbers at an axis are written.
func TestNumbers(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(Tick(0), "0")
	f(Tick(0.25), "0.25")
	f(Tick(20), "20")
	f(Tick(1500), "1,500")
	f(Tick(2e6), "2,000,000")
	f(Grouped(-1234567), "-1,234,567")
	f(Grouped(-0.2), "0")
	f(Grouped(999.6), "1,000")
}

// TestPaper proves that elements have their places and attributes, and that a text cannot end its element.
func TestPaper(t *testing.T) {
	var p Paper
	p.Text(1, 2.25, "end", "a<b&\"c", `class="x"`)
	p.Line(0, 1, 2, 3, "")
	p.Rect(0, 1, 2, 3, `fill="red"`)
	p.Circle(1, 2, 3.5, "")
	p.Polyline([]Point{{1, 2}, {3.06, 4}}, `fill="none"`)
	want := `before <text x="1.0" y="2.2" text-anchor="end" class="x">a&lt;b&amp;&#34;c</text>
<line x1="0.0" y1="1.0" x2="2.0" y2="3.0"/>
<rect x="0.0" y="1.0" width="2.0" height="3.0" fill="red"/>
<circle cx="1.0" cy="2.0" r="3.5"/>
<polyline points="1.0,2.0 3.1,4.0" fill="none"/>
`
	if got := string(p.AppendBody([]byte("before "))); got != want {
		t.Errorf("drawn as\n%s\nwant\n%s", got, want)
	}
}
