package page

// This file draws a chart: two axes, the lines, their names, and the part of the run that was measured.

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"

	"millrace/bench/plot"
)

// The size of a chart and its margins, in units of its own: one fills a phone, and two stand beside each other on a wide
// screen.
const (
	width, height = 480, 290
	left          = 58
	right         = width - 100 // the names of the lines follow
	top           = 34
	bottom        = height - 44
)

// chart is a picture with two axes.
type chart struct {
	title string
	about string // a sentence below the picture
	x, y  axis
	lines []line
	from  float64   // of the measured part, on the x axis
	to    float64   // no more than from: none is marked
	marks []float64 // moments that a word names
	word  string
}

// axis is a scale with its unit.
type axis struct {
	title string
	scale plot.Scale
	ticks []float64                 // nil: the scale's own
	text  func(v float64) string    // of a tick, with its unit where the title has none
	spare func(v float64) (is bool) // ticks that have a line and no text; nil: none
}

// line is a curve. A point whose Y is no number is a gap.
type line struct {
	name   string
	style  int // of the style sheet: colours that differ in lightness, and dashes
	points []plot.Point
}

// append appends the picture with its text.
func (c *chart) append(dst []byte) []byte {
	var p plot.Paper
	if c.to > c.from {
		from, to := c.x.scale.At(c.from), c.x.scale.At(c.to)
		p.Rect(from, top, to-from, bottom-top, `class="measured"`)
		p.Text((from+to)/2, top-4, "middle", "measured", `class="soft"`)
	}
	c.drawAxes(&p)
	for _, at := range c.marks {
		p.Line(c.x.scale.At(at), top, c.x.scale.At(at), bottom, `class="mark"`)
		p.Text(c.x.scale.At(at)+4, top+11, "start", c.word, `class="soft"`)
	}
	for _, l := range c.lines {
		c.drawLine(&p, &l)
	}
	c.drawNames(&p)
	dst = fmt.Appendf(dst, `<figure><svg viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n", width, height,
		html.EscapeString(c.describe()))
	dst = p.AppendBody(dst)
	return fmt.Appendf(dst, "</svg><figcaption><b>%s.</b> %s</figcaption></figure>\n", html.EscapeString(c.title),
		html.EscapeString(c.about))
}

// drawAxes draws the grid, the values at its lines, and the titles.
func (c *chart) drawAxes(p *plot.Paper) {
	for _, v := range c.x.values() {
		x := c.x.scale.At(v)
		p.Line(x, top, x, bottom, `class="grid"`)
		if c.x.spare == nil || !c.x.spare(v) {
			p.Text(x, bottom+16, "middle", c.x.text(v), `class="soft"`)
		}
	}
	for _, v := range c.y.values() {
		y := c.y.scale.At(v)
		p.Line(left, y, right, y, `class="grid"`)
		if c.y.spare == nil || !c.y.spare(v) {
			p.Text(left-6, y+4, "end", c.y.text(v), `class="soft"`)
		}
	}
	p.Line(left, bottom, right, bottom, `class="axis"`)
	p.Line(left, top, left, bottom, `class="axis"`)
	p.Text((left+right)/2, bottom+36, "middle", c.x.title, "")
	p.Text(4, top-16, "start", c.y.title, "")
}

// values returns the ticks.
func (a *axis) values() []float64 {
	if a.ticks != nil {
		return a.ticks
	}
	return a.scale.Ticks()
}

// drawLine draws a curve: a line through the points between two gaps, and a dot where there is one alone.
func (c *chart) drawLine(p *plot.Paper, l *line) {
	var run []plot.Point
	end := func() {
		switch class := fmt.Sprintf(`class="line l%d"`, l.style); len(run) {
		case 0:
		case 1:
			p.Circle(run[0].X, run[0].Y, 2, fmt.Sprintf(`class="dot d%d"`, l.style))
		default:
			p.Polyline(run, class)
		}
		run = run[:0]
	}
	for _, at := range l.points {
		if math.IsNaN(at.Y) {
			end()
			continue
		}
		run = append(run, plot.Point{X: c.x.scale.At(at.X), Y: c.y.scale.At(at.Y)})
	}
	end()
}

// nameHeight is the distance between the names of two lines.
const nameHeight = 15

// drawNames writes the names of the lines where these end, with a piece of each, and keeps them apart.
func (c *chart) drawNames(p *plot.Paper) {
	type name struct {
		y float64
		*line
	}
	var names []name
	for k := range c.lines {
		l := &c.lines[k]
		for i := len(l.points) - 1; i >= 0; i-- {
			if at := l.points[i]; !math.IsNaN(at.Y) {
				names = append(names, name{c.y.scale.At(at.Y), l})
				break
			}
		}
	}
	slices.SortStableFunc(names, func(a, b name) int { return int(math.Copysign(1, a.y-b.y)) })
	for k := 1; k < len(names); k++ {
		names[k].y = max(names[k].y, names[k-1].y+nameHeight)
	}
	floor := float64(bottom)
	for k := len(names) - 1; k >= 0; k-- {
		names[k].y = min(names[k].y, floor)
		floor = names[k].y - nameHeight
	}
	for _, n := range names {
		p.Line(right+4, n.y, right+20, n.y, fmt.Sprintf(`class="line l%d"`, n.style))
		p.Text(right+24, n.y+4, "start", n.name, "")
	}
}

// describe says in words what the picture shows, for readers that cannot see it.
func (c *chart) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. %s against %s.", c.title, c.y.title, c.x.title)
	for _, l := range c.lines {
		low, high := math.Inf(1), math.Inf(-1)
		for _, at := range l.points {
			if !math.IsNaN(at.Y) {
				low, high = min(low, at.Y), max(high, at.Y)
			}
		}
		if low <= high {
			fmt.Fprintf(&b, " %s: from %s to %s.", l.name, c.y.text(low), c.y.text(high))
		}
	}
	return b.String()
}
