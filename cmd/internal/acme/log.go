package acme

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"go.uber.org/zap/zapcore"
)

// This file owns the way of certmagic's log lines into the tracker's. Its errors become warnings, since the ones that matter to
// an operator have lines of their own (status.go), and the others are for debugging.

// logCore passes on what is logged to it.
type logCore struct {
	log    *slog.Logger
	failed func(text string) // a renewal has failed; nil: nobody wants to know
	fields []zapcore.Field
}

// renewalFailed is the message of certmagic about the end of a renewal, for which there is no event where it failed before it
// asked the server. The error begins with the names of the certificate in brackets.
const renewalFailed = "job failed"

func levelOf(l zapcore.Level) slog.Level {
	if l >= zapcore.ErrorLevel {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// Enabled implements zapcore.Core.
func (c *logCore) Enabled(l zapcore.Level) bool {
	return c.log.Enabled(context.Background(), levelOf(l))
}

// With implements zapcore.Core.
func (c *logCore) With(fields []zapcore.Field) zapcore.Core {
	return &logCore{c.log, c.failed, append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

// Check implements zapcore.Core.
func (c *logCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// noise has messages of failures that the events tell as well.
var noise = []string{"could not get certificate from issuer", "will retry", renewalFailed, "validating authorization",
	"challenge failed"}

// Write implements zapcore.Core.
func (c *logCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	level := levelOf(e.Level)
	if slices.ContainsFunc(noise, func(n string) bool { return strings.Contains(e.Message, n) }) {
		level = slog.LevelDebug
	}
	m := zapcore.NewMapObjectEncoder()
	for _, f := range c.fields {
		f.AddTo(m)
	}
	for _, f := range fields {
		f.AddTo(m)
	}
	attrs := make([]slog.Attr, 0, len(m.Fields))
	for k, v := range m.Fields {
		attrs = append(attrs, slog.Any(k, v))
		text, ok := v.(string)
		if ok && strings.Contains(text, context.Canceled.Error()) {
			level = slog.LevelDebug // the tracker ends, or tries anew
		} else if k == "error" && e.Message == renewalFailed && c.failed != nil {
			c.failed(text)
		}
		if ok && len(text) > mostText {
			attrs[len(attrs)-1] = slog.String(k, cut(errors.New(text)))
		}
	}
	c.log.LogAttrs(context.Background(), level, "acme: "+e.Message, attrs...)
	return nil
}

// Sync implements zapcore.Core.
func (c *logCore) Sync() error { return nil }
