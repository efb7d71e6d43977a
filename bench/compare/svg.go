package main

// This file draws plots as SVG: white background, dark text and distinct colours, so that they can be read on a light
// page and on a dark one. Title, description and all values are in the file as text, for readers that cannot see the
// picture.

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// plot is the paper. Coordinates are in pixels from the upper left corner.
type plot struct {
	width, height int
	body          strings.Builder
}

// colours of series, in their order.
var colours = []string{"#0b6fb8", "#c2410c", "#5b6470", "#15803d", "#7c3aed", "#b91c7c", "#8a6d00", "#0f766e"}

func colour(k int) string { return colours[max(k, 0)%len(colours)] }

// String returns the file.
func (p *plot) String(title, description string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" `+
		`font-family="system-ui, sans-serif" font-size="13" fill="#1f2328">`+"\n<title>%s</title>\n<desc>%s</desc>\n"+
		`<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n%s</svg>\n", p.width, p.height, p.width, p.height,
		html.EscapeString(title), html.EscapeString(description), p.body.String())
}

// text writes a text at a point: anchor is start, middle or end; more are further attributes.
func (p *plot) text(x, y float64, anchor, text, more string) {
	fmt.Fprintf(&p.body, `<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>`+"\n", x, y, anchor, more,
		html.EscapeString(text))
}

func (p *plot) line(x1, y1, x2, y2 float64, stroke string, width float64) {
	fmt.Fprintf(&p.body, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%.1f"/>`+"\n",
		x1, y1, x2, y2, stroke, width)
}

func (p *plot) rect(x, y, width, height float64, fill string) {
	fmt.Fprintf(&p.body, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, width, height, fill)
}

// legend has the name and colour of each series of a chart.
type legend []struct {
	name   string
	colour int
}

// legend writes the names of series, each with its colour, from a point on. It breaks lines where needed.
func (p *plot) legend(x, y float64, names legend) {
	at := x
	for _, s := range names {
		width := 26 + 7.2*float64(len([]rune(s.name)))
		if at+width > float64(p.width) && at > x {
			at, y = x, y+18
		}
		p.rect(at, y-9, 12, 12, colour(s.colour))
		p.text(at+17, y+2, "start", s.name, "")
		at += width
	}
}

// scale maps values to pixels.
type scale struct {
	low, high float64 // values
	from, to  float64 // pixels
	log       bool
}

func (s scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		v, low, high = math.Log(math.Max(v, low)), math.Log(low), math.Log(high)
	}
	return s.from + (v-low)/(high-low)*(s.to-s.from)
}

// tick formats a round value on an axis.
func tick(v float64) string {
	if v >= 1000 {
		return short(v)
	}
	return fmt.Sprintf("%.4g", v)
}

// ticks returns round values within the scale.
func (s scale) ticks() (of []float64) {
	if s.log {
		for decade := math.Pow(10, math.Floor(math.Log10(s.low))); decade <= s.high; decade *= 10 {
			for _, step := range []float64{1, 2, 5} {
				if v := decade * step; v >= s.low*0.999 && v <= s.high*1.001 {
					of = append(of, v)
				}
			}
		}
		return of
	}
	step := math.Pow(10, math.Floor(math.Log10((s.high-s.low)/4)))
	for _, more := range []float64{5, 2} {
		if (s.high-s.low)/(step*more) >= 4 {
			step *= more
			break
		}
	}
	for v := math.Ceil(s.low/step) * step; v <= s.high*1.0001; v += step {
		of = append(of, v)
	}
	return of
}

// cover returns a logarithmic scale over positive values, with room at both ends.
func cover(values []float64, from, to float64) scale {
	low, high := slices.Min(values), slices.Max(values)
	return scale{low / 1.3, high * 1.5, from, to, true}
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
	p := &plot{width: 860, height: int(height) + 30}
	p.text(16, 26, "start", title, ` font-size="16" font-weight="600"`)
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
		return p.String(title, description)
	}
	x := cover(all, left, float64(p.width)-70)
	for _, v := range x.ticks() {
		p.line(x.at(v), 84, x.at(v), height, "#e3e6ea", 1)
		p.text(x.at(v), height+18, "middle", tick(v), ` font-size="11" fill="#57606a"`)
	}
	y := 96.0
	for _, r := range rows {
		p.text(left-12, y+line*float64(drawable(r)-1)/2+4, "end", r.name, "")
		for k, s := range r.values {
			if s.n == 0 || s.min <= 0 {
				continue
			}
			p.line(x.at(s.min), y, x.at(s.max), y, colour(names[k].colour), 3)
			fmt.Fprintf(&p.body, `<circle cx="%.1f" cy="%.1f" r="5.5" fill="%s"/>`+"\n", x.at(s.median), y,
				colour(names[k].colour))
			p.text(x.at(s.max)+9, y+4, "start", short(s.median), ` font-size="11"`)
			y += line
		}
		y += gap
	}
	return p.String(title, description)
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
	p := &plot{width: 860, height: int(height) + 30}
	p.text(16, 26, "start", title, ` font-size="16" font-weight="600"`)
	p.legend(16, 52, names)
	if most == 0 {
		return p.String(title, description)
	}
	x := scale{0, most * 1.05, left, float64(p.width) - 70, false}
	for _, v := range x.ticks() {
		p.line(x.at(v), 84, x.at(v), height, "#e3e6ea", 1)
		p.text(x.at(v), height+18, "middle", tick(v), ` font-size="11" fill="#57606a"`)
	}
	y := 90.0
	for _, r := range rows {
		p.text(left-12, y+line*float64(drawable(r))/2+2, "end", r.name, "")
		for k, s := range r.values {
			if s.n == 0 || s.min <= 0 {
				continue
			}
			p.rect(left, y, x.at(s.median)-left, line-6, colour(names[k].colour))
			p.line(x.at(s.min), y+line/2-3, x.at(s.max), y+line/2-3, "#1f2328", 1.5)
			p.text(x.at(s.max)+8, y+line/2+1, "start", short(s.median), ` font-size="11"`)
			y += line
		}
		y += gap
	}
	return p.String(title, description)
}

// series is a line of a chart.
type series struct {
	name   string
	xs, ys []float64
	dashed bool
	colour int
}

// lines draws curves with a logarithmic y axis.
func lines(title, description, xTitle, yTitle string, curves []series) string {
	const left, top, bottom = 80, 84, 400
	p := &plot{width: 860, height: bottom + 56}
	p.text(16, 26, "start", title, ` font-size="16" font-weight="600"`)
	var xs, ys []float64
	for _, c := range curves {
		xs, ys = append(xs, c.xs...), append(ys, c.ys...)
	}
	if len(xs) == 0 {
		return p.String(title, description)
	}
	x := scale{0, slices.Max(xs) * 1.05, left, float64(p.width) - 110, false}
	y := cover(ys, bottom, top)
	for _, v := range x.ticks() {
		p.line(x.at(v), top, x.at(v), bottom, "#e3e6ea", 1)
		p.text(x.at(v), bottom+18, "middle", tick(v), ` font-size="11" fill="#57606a"`)
	}
	for _, v := range y.ticks() {
		p.line(left, y.at(v), x.to, y.at(v), "#e3e6ea", 1)
		p.text(left-8, y.at(v)+4, "end", tick(v), ` font-size="11" fill="#57606a"`)
	}
	p.text((left+x.to)/2, bottom+42, "middle", xTitle, "")
	p.text(16, top-22, "start", yTitle, ` fill="#57606a"`)
	for _, c := range curves {
		p.curve(&c, x, y)
	}
	return p.String(title, description)
}

// curve draws one line, its points, and its name at the end.
func (p *plot) curve(c *series, x, y scale) {
	dash := ""
	if c.dashed {
		dash = ` stroke-dasharray="6 4"`
	}
	var points []string
	for k := range c.xs {
		points = append(points, fmt.Sprintf("%.1f,%.1f", x.at(c.xs[k]), y.at(c.ys[k])))
	}
	fmt.Fprintf(&p.body, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2.5"%s/>`+"\n",
		strings.Join(points, " "), colour(c.colour), dash)
	for k := range c.xs {
		fmt.Fprintf(&p.body, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", x.at(c.xs[k]), y.at(c.ys[k]),
			colour(c.colour))
	}
	if last := len(c.xs) - 1; last >= 0 {
		p.text(x.at(c.xs[last])+9, y.at(c.ys[last])+4, "start", c.name,
			fmt.Sprintf(` font-size="12" fill="%s"`, colour(c.colour)))
	}
}
