package main

// This file draws plots as SVG: white background, dark text and distinct colours, so that they can be read on a light
// page and on a dark one. Title, description and all values are in the file as text, for readers that cannot see the
// picture.

import (
	"fmt"
	"html"
	"slices"

	"millrace/bench/plot"
)

// colours of series, in their order.
var colours = []string{"#0b6fb8", "#c2410c", "#5b6470", "#15803d", "#7c3aed", "#b91c7c", "#8a6d00", "#0f766e"}

func colour(k int) string { return colours[max(k, 0)%len(colours)] }

// Attributes of what charts have in common.
const (
	titleStyle = `font-size="16" font-weight="600"`
	gridStyle  = `stroke="#e3e6ea" stroke-width="1.0"`
	tickStyle  = `font-size="11" fill="#57606a"`
	valueStyle = `font-size="11"`
)

// stroke returns the attributes of a line.
func stroke(colour string, width float64) string {
	return fmt.Sprintf(`stroke="%s" stroke-width="%.1f"`, colour, width)
}

// fill returns the attribute of an area.
func fill(colour string) string { return `fill="` + colour + `"` }

// sheet is the paper of a file.
type sheet struct {
	plot.Paper
	width, height int
}

func newSheet(width, height int) *sheet { return &sheet{width: width, height: height} }

// file returns the file.
func (p *sheet) file(title, description string) string {
	dst := fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" `+
		`font-family="system-ui, sans-serif" font-size="13" fill="#1f2328">`+"\n<title>%s</title>\n<desc>%s</desc>\n"+
		`<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n", p.width, p.height, p.width, p.height,
		html.EscapeString(title), html.EscapeString(description))
	return string(append(p.AppendBody(dst), "</svg>\n"...))
}

// legend has the name and colour of each series of a chart.
type legend []struct {
	name   string
	colour int
}

// legend writes the names of series, each with its colour, from a point on. It breaks lines where needed.
func (p *sheet) legend(x, y float64, names legend) {
	at := x
	for _, s := range names {
		width := 26 + 7.2*float64(len([]rune(s.name)))
		if at+width > float64(p.width) && at > x {
			at, y = x, y+18
		}
		p.Rect(at, y-9, 12, 12, fill(colour(s.colour)))
		p.Text(at+17, y+2, "start", s.name, "")
		at += width
	}
}

// row is a group of values in a chart: one for each series; n is 0 where there is none.
type row struct {
	name   string
	values []summary
}

// dots draws rows of values on a logarithmic axis: a dot for the median, a line from the least to the most, and the
// median in figures. Lengths would lie on such an axis, so there are no bars.
func dots(title, description string, names legend, rows []row) string {
	const left, line, gap = 176, 20, 14
	height := 92.0
	for _, r := range rows {
		height += line*float64(drawable(r)) + gap
	}
	p := newSheet(860, int(height)+30)
	p.Text(16, 26, "start", title, titleStyle)
	p.legend(16, 52, names)
	var all []float64
	for _, r := range rows {
		for _, s := range r.values {
			if s.n > 0 && s.min > 0 {
				all = append(all, s.min, s.max)
			}
		}
	}
	if len(all) == 0 {
		return p.file(title, description)
	}
	x := plot.Cover(all, left, float64(p.width)-70)
	for _, v := range x.Ticks() {
		p.Line(x.At(v), 84, x.At(v), height, gridStyle)
		p.Text(x.At(v), height+18, "middle", plot.Tick(v), tickStyle)
	}
	y := 96.0
	for _, r := range rows {
		p.Text(left-12, y+line*float64(drawable(r)-1)/2+4, "end", r.name, "")
		for k, s := range r.values {
			if s.n == 0 || s.min <= 0 {
				continue
			}
			p.Line(x.At(s.min), y, x.At(s.max), y, stroke(colour(names[k].colour), 3))
			p.Circle(x.At(s.median), y, 5.5, fill(colour(names[k].colour)))
			p.Text(x.At(s.max)+9, y+4, "start", short(s.median), valueStyle)
			y += line
		}
		y += gap
	}
	return p.file(title, description)
}

// drawable counts the values of a row that can be drawn.
func drawable(r row) (n int) {
	for _, s := range r.values {
		if s.n > 0 && s.min > 0 {
			n++
		}
	}
	return n
}

// bars draws rows of values as horizontal bars from zero, with a mark from the least to the most.
func bars(title, description string, names legend, rows []row) string {
	const left, line, gap = 176, 24, 14
	height := 92.0
	most := 0.0
	for _, r := range rows {
		height += line*float64(drawable(r)) + gap
		for _, s := range r.values {
			most = max(most, s.max)
		}
	}
	p := newSheet(860, int(height)+30)
	p.Text(16, 26, "start", title, titleStyle)
	p.legend(16, 52, names)
	if most == 0 {
		return p.file(title, description)
	}
	x := plot.Scale{High: most * 1.05, From: left, To: float64(p.width) - 70}
	for _, v := range x.Ticks() {
		p.Line(x.At(v), 84, x.At(v), height, gridStyle)
		p.Text(x.At(v), height+18, "middle", plot.Tick(v), tickStyle)
	}
	y := 90.0
	for _, r := range rows {
		p.Text(left-12, y+line*float64(drawable(r))/2+2, "end", r.name, "")
		for k, s := range r.values {
			if s.n == 0 || s.min <= 0 {
				continue
			}
			p.Rect(left, y, x.At(s.median)-left, line-6, fill(colour(names[k].colour)))
			p.Line(x.At(s.min), y+line/2-3, x.At(s.max), y+line/2-3, stroke("#1f2328", 1.5))
			p.Text(x.At(s.max)+8, y+line/2+1, "start", short(s.median), valueStyle)
			y += line
		}
		y += gap
	}
	return p.file(title, description)
}

// series is a line of a chart.
type series struct {
	name   string
	xs, ys []float64
	colour int
}

// lines draws curves with a logarithmic y axis.
func lines(title, description, xTitle, yTitle string, curves []series) string {
	const left, top, bottom = 80, 84, 400
	p := newSheet(860, bottom+56)
	p.Text(16, 26, "start", title, titleStyle)
	var xs, ys []float64
	for _, c := range curves {
		xs, ys = append(xs, c.xs...), append(ys, c.ys...)
	}
	if len(xs) == 0 {
		return p.file(title, description)
	}
	x := plot.Scale{High: slices.Max(xs) * 1.05, From: left, To: float64(p.width) - 110}
	y := plot.Cover(ys, bottom, top)
	for _, v := range x.Ticks() {
		p.Line(x.At(v), top, x.At(v), bottom, gridStyle)
		p.Text(x.At(v), bottom+18, "middle", plot.Tick(v), tickStyle)
	}
	for _, v := range y.Ticks() {
		p.Line(left, y.At(v), x.To, y.At(v), gridStyle)
		p.Text(left-8, y.At(v)+4, "end", plot.Tick(v), tickStyle)
	}
	p.Text((left+x.To)/2, bottom+42, "middle", xTitle, "")
	p.Text(16, top-22, "start", yTitle, fill("#57606a"))
	for _, c := range curves {
		p.curve(&c, x, y)
	}
	return p.file(title, description)
}

// curve draws one line, its points, and its name at the end.
func (p *sheet) curve(c *series, x, y plot.Scale) {
	points := make([]plot.Point, len(c.xs))
	for k := range c.xs {
		points[k] = plot.Point{X: x.At(c.xs[k]), Y: y.At(c.ys[k])}
	}
	p.Polyline(points, `fill="none" `+stroke(colour(c.colour), 2.5))
	for _, at := range points {
		p.Circle(at.X, at.Y, 3.5, fill(colour(c.colour)))
	}
	if len(points) > 0 {
		last := points[len(points)-1]
		p.Text(last.X+9, last.Y+4, "start", c.name, `font-size="12" `+fill(colour(c.colour)))
	}
}
