package plot

// This file maps values to pixels, and chooses the round values at an axis.

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Scale maps values to pixels.
type Scale struct {
	Low, High float64 // values
	From, To  float64 // pixels
	Log       bool
}

// At returns the pixel of a value.
func (s Scale) At(v float64) float64 {
	low, high := s.Low, s.High
	if s.Log {
		v, low, high = math.Log(math.Max(v, low)), math.Log(low), math.Log(high)
	}
	return s.From + (v-low)/(high-low)*(s.To-s.From)
}

// Ticks returns round values within the scale; none for a scale without an extent.
func (s Scale) Ticks() (of []float64) {
	if !(s.High > s.Low) || s.Log && !(s.Low > 0) || math.IsInf(s.High, 0) {
		return nil
	}
	if s.Log {
		for decade := math.Pow(10, math.Floor(math.Log10(s.Low))); decade <= s.High; decade *= 10 {
			for _, step := range []float64{1, 2, 5} {
				if v := decade * step; v >= s.Low*0.999 && v <= s.High*1.001 {
					of = append(of, v)
				}
			}
		}
		return of
	}
	step := math.Pow(10, math.Floor(math.Log10((s.High-s.Low)/4)))
	for _, more := range []float64{5, 2} {
		if (s.High-s.Low)/(step*more) >= 4 {
			step *= more
			break
		}
	}
	for v := math.Ceil(s.Low/step) * step; v <= s.High*1.0001; v += step {
		of = append(of, v)
	}
	return of
}

// Cover returns a logarithmic scale over positive values, with room at both ends.
func Cover(values []float64, from, to float64) Scale {
	low, high := slices.Min(values), slices.Max(values)
	return Scale{low / 1.3, high * 1.5, from, to, true}
}

// Tick formats a round value on an axis.
func Tick(v float64) string {
	if v >= 1000 {
		return Grouped(v)
	}
	return fmt.Sprintf("%.4g", v)
}

// Grouped formats a number without a fraction, with a comma after each three digits.
func Grouped(v float64) string {
	digits := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	for k := len(digits) - 3; k > 0; k -= 3 {
		digits = digits[:k] + "," + digits[k:]
	}
	if v < 0 && digits != "0" {
		return "-" + digits
	}
	return digits
}
