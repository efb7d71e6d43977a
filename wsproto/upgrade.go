package wsproto

// This file owns the HTTP/1.1 request that opens a connection.

import "bytes"

// Request is the head of an upgrade request. Its fields are views of the bytes given to ParseUpgrade. They are valid
// while those are unchanged, and must not be written to.
type Request struct {
	// Head is true if the method is HEAD: then the response has no body. It is set for every request that ParseUpgrade
	// refuses.
	Head bool
	// Path is the path of the request target, without the query. For an absolute target ("ws://host/path") it is the
	// path alone.
	Path []byte
	// Key is the Sec-WebSocket-Key: 24 bytes of base64.
	Key []byte
	// Origin is the value of the field of that name, nil if there is none. ParseUpgrade refuses a request with two.
	Origin []byte
	// Protocol is the first subprotocol that the client asks for. It is nil if there is none, if it is no token, and if
	// it is longer than 64 bytes.
	Protocol []byte

	fields []byte // the field lines, and the empty line after them: for ForwardedClient and Field
}

// Field returns the value of the first field of that name, in whichever case; nil where there is none. The name is in lower case.
func (r *Request) Field(name string) []byte {
	for rest := r.fields; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		if key, value, ok := parseField(line); ok && len(key) == len(name) && bytes.EqualFold(key, []byte(name)) {
			return value
		}
	}
	return nil
}

const (
	// maxMethod bounds the request method in bytes, so that an endless stream of letters is refused early.
	maxMethod = 24
	// keySize is the size of a Sec-WebSocket-Key. RFC 6455 §4.1: «a nonce consisting of a randomly selected 16-byte
	// value that has been base64-encoded»
	keySize = 24
	// maxFields bounds the field lines of a head. Browsers behind proxies send a few dozen.
	maxFields = 128
	// maxProtocol bounds the name of a subprotocol in bytes: the response has room for so many.
	maxProtocol = 64
)

// ParseUpgrade reads the HTTP/1.1 head (RFC 6455 §4.2.1) with which a client asks for a WebSocket connection. buf is
// all bytes received so far. seen is how many of them an earlier call has read without a result. max bounds the head in
// bytes. The work for a head is in proportion to its size, in however many pieces it comes: bytes before seen are not
// read again, but for those of the line that seen is in.
//
// If n > 0, the head is buf[:n], req holds views of it, and buf[n:] are the client's first frames. If status is not 0,
// the caller refuses the request with [AppendHTTPError]. A plain HTTP request gets 426, and req.Path is set even then.
// A HEAD request is a plain one too, also with the fields of an upgrade. If both are 0, more bytes are needed.
//
// Any path, query, Origin, extension and subprotocol are accepted; Request.Deflate reads the extensions. Lines end in CRLF;
// a lone LF is refused.
func ParseUpgrade(buf []byte, seen, max int) (req Request, n, status int) {
	n, status = findHead(buf[:min(len(buf), max)], seen)
	if n == 0 && status == 0 {
		if len(buf) < max {
			return Request{}, 0, 0
		}
		status = httpHeadTooLarge
	}
	req.Head = AsksHead(buf)
	if status == 0 {
		status = parseHead(&req, buf[:n])
	}
	if status != 0 {
		n = 0
	}
	return req, n, status
}

// AsksHead reports whether the bytes are the beginning of a HEAD request. It is for a caller that refuses a request
// before its head is complete.
//
// RFC 9110 §9.3.2: «The HEAD method is identical to GET except that the server MUST NOT send content in the response.»
func AsksHead(buf []byte) bool { return bytes.HasPrefix(buf, []byte("HEAD ")) }

// findHead returns the size of the head at the front of buf, empty line included, or 0 if it is not complete. It reads
// the bytes from seen on, and refuses the first byte that no head can hold. A first line that does not start with a
// method and a space is refused at once, any other that is not HTTP when it ends. To see whether a line is the first,
// it looks back from the line's end, so that the work is linear.
func findHead(buf []byte, seen int) (n, status int) {
	firstLine := true
	for i := seen; i < len(buf); i++ {
		c := buf[i]
		if c >= ' ' && c != 0x7f || c == '\t' {
			continue
		}
		switch {
		case c == '\r':
		case c != '\n' || i == 0 || buf[i-1] != '\r':
			return 0, httpBadRequest
		case i >= 3 && buf[i-2] == '\n':
			return i + 1, 0
		case firstLine:
			firstLine = false
			if bytes.LastIndexByte(buf[:i], '\n') < 0 {
				if _, status = parseRequestLine(buf[:i-1]); status == httpBadRequest {
					return 0, status
				}
			}
		}
	}
	if seen <= maxMethod && !startsWithMethod(buf[:min(len(buf), maxMethod+1)]) {
		return 0, httpBadRequest
	}
	return 0, 0
}

// startsWithMethod reports whether b is, or may become, a method and a space.
func startsWithMethod(b []byte) bool {
	for i, c := range b {
		if !isTokenChar(c) {
			return c == ' ' && i > 0
		}
	}
	return len(b) <= maxMethod
}

// parseHead reads a complete head into req. The order of the checks decides the status of a request with several
// faults.
func parseHead(req *Request, head []byte) (status int) {
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	if req.Path, status = parseRequestLine(line); status != 0 {
		return status
	}
	req.fields = rest
	var f headFields
	for range maxFields + 1 {
		if line, rest, _ = bytes.Cut(rest, []byte("\r\n")); len(line) == 0 {
			return f.judge(req)
		}
		name, value, ok := parseField(line)
		if !ok || !f.add(req, name, value) {
			return httpBadRequest
		}
	}
	return httpHeadTooLarge
}

// parseRequestLine reads "GET target HTTP/1.1", or the same with HEAD, and returns the target's path. The version is
// judged before the method, so that the preface of HTTP/2 ("PRI * HTTP/2.0") gets 505.
func parseRequestLine(line []byte) (path []byte, status int) {
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, ok := bytes.Cut(rest, []byte(" "))
	if !ok || len(target) == 0 || !isToken(method) || len(method) > maxMethod || bytes.ContainsAny(target, "\t\r") {
		return nil, httpBadRequest
	}
	if status = checkVersion(version); status != 0 {
		return nil, status
	}
	if string(method) != "GET" && string(method) != "HEAD" {
		return nil, httpNotAllowed
	}
	if path = targetPath(target); path == nil {
		return nil, httpBadRequest
	}
	if version[len(version)-1] == '0' {
		return path, httpUpgradeRequired
	}
	return path, 0
}

// checkVersion accepts every version of HTTP/1. A request of HTTP/1.0 is no upgrade, but it may be a health check.
//
// RFC 6455 §4.1: «The method of the request MUST be GET, and the HTTP version MUST be at least 1.1.»
func checkVersion(v []byte) int {
	const form = "HTTP/d.d"
	if len(v) != len(form) || string(v[:5]) != form[:5] || v[6] != '.' || !isDigit(v[5]) || !isDigit(v[7]) {
		return httpBadRequest
	}
	if v[5] != '1' {
		return httpBadVersion
	}
	return 0
}

// targetPath returns the path of a request target in origin form ("/path?query") or absolute form
// ("ws://host/path?query"), and nil for any other.
func targetPath(target []byte) []byte {
	if target[0] != '/' {
		scheme, rest, ok := bytes.Cut(target, []byte("://"))
		if !ok || !isToken(scheme) || len(rest) == 0 {
			return nil
		}
		if target = rest[len(rest):]; bytes.IndexByte(rest, '/') >= 0 {
			target = rest[bytes.IndexByte(rest, '/'):]
		}
		if query := bytes.IndexByte(rest, '?'); len(target) == 0 || query >= 0 && query < len(rest)-len(target) {
			return rootPath
		}
	}
	path, _, _ := bytes.Cut(target, []byte("?"))
	return path
}

// rootPath is the path of an absolute target that has none.
var rootPath = []byte("/")

// headFields notes which of the fields that decide are there.
type headFields struct {
	host, origin, key, version         uint8 // how often, up to 2
	upgrade, connection, is13, hasBody bool
	protocol                           bool // the first subprotocol was seen
}

// add takes note of a field. It returns false when the request is malformed.
func (f *headFields) add(req *Request, name, value []byte) bool {
	var folded [24]byte
	switch string(lower(folded[:0], name)) {
	case "host":
		return once(&f.host)
	case "upgrade":
		f.upgrade = f.upgrade || hasToken(value, "websocket")
	case "connection":
		f.connection = f.connection || hasToken(value, "upgrade")
	case "sec-websocket-key":
		req.Key = value
		return once(&f.key)
	case "sec-websocket-version":
		f.is13 = string(value) == "13"
		return once(&f.version)
	case "origin":
		req.Origin = value
		return once(&f.origin)
	case "sec-websocket-protocol":
		f.addProtocol(req, value)
	case "transfer-encoding":
		f.hasBody = true
	case "content-length":
		f.hasBody = f.hasBody || string(value) != "0"
	}
	return true
}

// addProtocol takes note of the first element of a list of subprotocols that may go on over several lines.
//
// RFC 9110 §5.6.1.2: «A recipient MUST parse and ignore a reasonable number of empty list elements»
func (f *headFields) addProtocol(req *Request, list []byte) {
	for !f.protocol && len(list) > 0 {
		var name []byte
		name, list, _ = bytes.Cut(list, []byte(","))
		name = trim(name)
		if f.protocol = len(name) > 0; isToken(name) && len(name) <= maxProtocol {
			req.Protocol = name
		}
	}
}

// judge decides on a head whose fields are all well formed.
func (f *headFields) judge(req *Request) (status int) {
	switch {
	case !f.upgrade, !f.connection, req.Head:
		return httpUpgradeRequired
	case !f.is13:
		// RFC 6455 §4.2.2: «If this version does not match a version understood by the server, the server MUST abort
		// the WebSocket handshake described in this section and instead send an appropriate HTTP error code (such as
		// 426 Upgrade Required) and a |Sec-WebSocket-Version| header field»
		return httpUpgradeRequired
	case f.host == 0, !validKey(req.Key):
		return httpBadRequest
	case f.hasBody:
		// The Reader would take the bytes of a body for frames.
		return httpBadRequest
	}
	return 0
}

// once counts a field that may be given only once.
func once(count *uint8) bool {
	*count++
	return *count == 1
}

// parseField splits a field line. It refuses a continuation of the line before (obs-fold), which begins with white
// space: no name does.
//
// RFC 9112 §5.1: «A server MUST reject, with a response status code of 400 (Bad Request), any received request message
// that contains whitespace between a header field name and colon.»
func parseField(line []byte) (name, value []byte, ok bool) {
	name, value, ok = bytes.Cut(line, []byte(":"))
	if !ok || !isToken(name) || bytes.IndexByte(value, '\r') >= 0 {
		return nil, nil, false
	}
	return name, trim(value), true
}

// trim removes the white space that may surround a value: spaces and tabs.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// hasToken reports whether a comma-separated list holds the token, which is given in lower case.
func hasToken(list []byte, token string) bool {
	for len(list) > 0 {
		var item []byte
		item, list, _ = bytes.Cut(list, []byte(","))
		var folded [24]byte
		if string(lower(folded[:0], trim(item))) == token {
			return true
		}
	}
	return false
}

// lower appends the lower-case form of b to dst. It appends nothing if b is longer than dst's capacity: then b is no
// known name.
func lower(dst, b []byte) []byte {
	if len(b) > cap(dst) {
		return dst
	}
	for _, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// validKey reports whether key is the base64 form of 16 bytes. Bits of the last character that belong to no byte may be
// set: RFC 6455 §4.2.1 leaves it to the server whether to decode the key.
func validKey(key []byte) bool {
	if len(key) != keySize || key[22] != '=' || key[23] != '=' {
		return false
	}
	for _, c := range key[:22] {
		if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && c != '+' && c != '/' {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func isToken(b []byte) bool {
	for _, c := range b {
		if !isTokenChar(c) {
			return false
		}
	}
	return len(b) > 0
}

// tokenChars is true for each tchar of RFC 9110 §5.6.2.
var tokenChars = func() (t [256]bool) {
	const chars = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for i := range len(chars) {
		t[chars[i]] = true
	}
	return t
}()

func isTokenChar(c byte) bool { return tokenChars[c] }
