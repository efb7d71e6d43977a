package wsproto

import "github.com/gobwas/ws"

// This file owns the state of a Reader between two processes.

// ReaderState is the state of a [Reader] behind a call of Keep, as plain data: another Reader that is given it, and the bytes that
// Keep has kept, goes on where the first one was.
type ReaderState struct {
	Size   uint32 // bytes of a message so far: they are the first of those that were kept
	Kind   Kind   // Text or Binary while a fragmented message is open, else None
	Agreed bool   // messages may be compressed
	Packed bool   // the message so far is
}

// State returns the state. Keep has been called, and nothing since.
func (r *Reader) State() ReaderState {
	s := ReaderState{Agreed: r.agreed}
	if r.op != 0 {
		s.Size, s.Kind, s.Packed = r.size, Text, r.packed
		if r.op == ws.OpBinary {
			s.Kind = Binary
		}
	}
	return s
}

// SetState makes the state that of a Reader which has seen nothing. It reports false, and does nothing, if that cannot be the state of
// a Reader for which so many bytes are kept.
func (r *Reader) SetState(s ReaderState, kept int) bool {
	switch {
	case s.Kind == None && s.Size == 0 && !s.Packed:
		*r = Reader{agreed: s.Agreed}
	case (s.Kind == Text || s.Kind == Binary) && int64(s.Size) <= int64(kept) && (s.Agreed || !s.Packed):
		*r = Reader{agreed: s.Agreed, packed: s.Packed, size: s.Size, pos: s.Size, op: ws.OpText}
		if s.Kind == Binary {
			r.op = ws.OpBinary
		}
	default:
		return false
	}
	return true
}
