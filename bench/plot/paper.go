// Package plot has what every picture needs: paper to draw SVG on, and scales that map values to pixels. It knows nothing
// of measurements and of colours: the attributes of an element are the caller's.
package plot

import (
	"fmt"
	"html"
	"strconv"
)

// Paper is a picture that is being drawn. Coordinates are in pixels from the upper left corner.
type Paper struct{ body []byte }

// Text writes a text at a point. The anchor is start, middle or end; attributes may be empty.
func (p *Paper) Text(x, y float64, anchor, text, attributes string) {
	p.body = fmt.Appendf(p.body, `<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>`+"\n", x, y, anchor,
		spaced(attributes), html.EscapeString(text))
}

// Line draws a straight line.
func (p *Paper) Line(x1, y1, x2, y2 float64, attributes string) {
	p.body = fmt.Appendf(p.body, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"%s/>`+"\n", x1, y1, x2, y2,
		spaced(attributes))
}

// Rect draws a rectangle.
func (p *Paper) Rect(x, y, width, height float64, attributes string) {
	p.body = fmt.Appendf(p.body, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"%s/>`+"\n", x, y, width, height,
		spaced(attributes))
}

// Circle draws a dot.
func (p *Paper) Circle(x, y, radius float64, attributes string) {
	p.body = fmt.Appendf(p.body, `<circle cx="%.1f" cy="%.1f" r="%s"%s/>`+"\n", x, y,
		strconv.FormatFloat(radius, 'f', -1, 64), spaced(attributes))
}

// Point is a place on the paper.
type Point struct{ X, Y float64 }

// Polyline draws a line through points.
func (p *Paper) Polyline(points []Point, attributes string) {
	p.body = append(p.body, `<polyline points="`...)
	for k, at := range points {
		if k > 0 {
			p.body = append(p.body, ' ')
		}
		p.body = strconv.AppendFloat(p.body, at.X, 'f', 1, 64)
		p.body = append(p.body, ',')
		p.body = strconv.AppendFloat(p.body, at.Y, 'f', 1, 64)
	}
	p.body = fmt.Appendf(p.body, `"%s/>`+"\n", spaced(attributes))
}

// AppendBody appends the elements that were drawn.
func (p *Paper) AppendBody(dst []byte) []byte { return append(dst, p.body...) }

// spaced sets attributes apart from those before them.
func spaced(attributes string) string {
	if attributes == "" {
		return ""
	}
	return " " + attributes
}
