package record

// This file has the three methods of each record (see the comment of the package). They are written out, not shared by an interface: so a
// codec stays on the stack, and the mail of a shard costs no memory.

func (r *Hello) Size() int     { c := codec{mode: counts}; r.fields(&c); return c.n }
func (r *Presence) Size() int  { c := codec{mode: counts}; r.fields(&c); return c.n }
func (r *Others) Size() int    { c := codec{mode: counts}; r.fields(&c); return c.n }
func (r *Relay) Size() int     { c := codec{mode: counts}; r.fields(&c); return c.n }
func (r *Answer) Size() int    { c := codec{mode: counts}; r.fields(&c); return c.n }
func (r *Ask) Size() int       { c := codec{mode: counts}; r.fields(&c); return c.n }
func (r *Told) Size() int      { c := codec{mode: counts}; r.fields(&c); return c.n }
func (r *Arrived) Size() int   { c := codec{mode: counts}; r.fields(&c); return c.n }
func (r *Seek) Size() int      { c := codec{mode: counts}; r.fields(&c); return c.n }
func (r *Routed) Size() int    { c := codec{mode: counts}; r.fields(&c); return c.n }
func (r *Answering) Size() int { c := codec{mode: counts}; r.fields(&c); return c.n }
func (r *Scrape) Size() int    { c := codec{mode: counts}; r.fields(&c); return c.n }
func (r *Nodes) Size() int     { c := codec{mode: counts}; r.fields(&c); return c.n }
func (r *Known) Size() int     { c := codec{mode: counts}; r.fields(&c); return c.n }
func (r *Scraped) Size() int   { c := codec{mode: counts}; r.fields(&c); return c.n }
func (r *Resend) Size() int    { c := codec{mode: counts}; r.fields(&c); return c.n }

func (r *Hello) Append(dst []byte) []byte     { c := codec{b: dst}; r.fields(&c); return c.b }
func (r *Presence) Append(dst []byte) []byte  { c := codec{b: dst}; r.fields(&c); return c.b }
func (r *Others) Append(dst []byte) []byte    { c := codec{b: dst}; r.fields(&c); return c.b }
func (r *Relay) Append(dst []byte) []byte     { c := codec{b: dst}; r.fields(&c); return c.b }
func (r *Answer) Append(dst []byte) []byte    { c := codec{b: dst}; r.fields(&c); return c.b }
func (r *Ask) Append(dst []byte) []byte       { c := codec{b: dst}; r.fields(&c); return c.b }
func (r *Told) Append(dst []byte) []byte      { c := codec{b: dst}; r.fields(&c); return c.b }
func (r *Arrived) Append(dst []byte) []byte   { c := codec{b: dst}; r.fields(&c); return c.b }
func (r *Seek) Append(dst []byte) []byte      { c := codec{b: dst}; r.fields(&c); return c.b }
func (r *Routed) Append(dst []byte) []byte    { c := codec{b: dst}; r.fields(&c); return c.b }
func (r *Answering) Append(dst []byte) []byte { c := codec{b: dst}; r.fields(&c); return c.b }
func (r *Scrape) Append(dst []byte) []byte    { c := codec{b: dst}; r.fields(&c); return c.b }
func (r *Nodes) Append(dst []byte) []byte     { c := codec{b: dst}; r.fields(&c); return c.b }
func (r *Known) Append(dst []byte) []byte     { c := codec{b: dst}; r.fields(&c); return c.b }
func (r *Scraped) Append(dst []byte) []byte   { c := codec{b: dst}; r.fields(&c); return c.b }
func (r *Resend) Append(dst []byte) []byte    { c := codec{b: dst}; r.fields(&c); return c.b }

func (r *Hello) Read(b []byte) bool     { c := codec{b: b, mode: reads}; r.fields(&c); return !c.bad }
func (r *Presence) Read(b []byte) bool  { c := codec{b: b, mode: reads}; r.fields(&c); return !c.bad }
func (r *Others) Read(b []byte) bool    { c := codec{b: b, mode: reads}; r.fields(&c); return !c.bad }
func (r *Relay) Read(b []byte) bool     { c := codec{b: b, mode: reads}; r.fields(&c); return !c.bad }
func (r *Answer) Read(b []byte) bool    { c := codec{b: b, mode: reads}; r.fields(&c); return !c.bad }
func (r *Ask) Read(b []byte) bool       { c := codec{b: b, mode: reads}; r.fields(&c); return !c.bad }
func (r *Told) Read(b []byte) bool      { c := codec{b: b, mode: reads}; r.fields(&c); return !c.bad }
func (r *Arrived) Read(b []byte) bool   { c := codec{b: b, mode: reads}; r.fields(&c); return !c.bad }
func (r *Seek) Read(b []byte) bool      { c := codec{b: b, mode: reads}; r.fields(&c); return !c.bad }
func (r *Routed) Read(b []byte) bool    { c := codec{b: b, mode: reads}; r.fields(&c); return !c.bad }
func (r *Answering) Read(b []byte) bool { c := codec{b: b, mode: reads}; r.fields(&c); return !c.bad }
func (r *Scrape) Read(b []byte) bool    { c := codec{b: b, mode: reads}; r.fields(&c); return !c.bad }
func (r *Nodes) Read(b []byte) bool     { c := codec{b: b, mode: reads}; r.fields(&c); return !c.bad }
func (r *Known) Read(b []byte) bool     { c := codec{b: b, mode: reads}; r.fields(&c); return !c.bad }
func (r *Scraped) Read(b []byte) bool   { c := codec{b: b, mode: reads}; r.fields(&c); return !c.bad }
func (r *Resend) Read(b []byte) bool    { c := codec{b: b, mode: reads}; r.fields(&c); return !c.bad }
