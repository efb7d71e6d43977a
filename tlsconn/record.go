package tlsconn

// This file owns the protection of single records: RFC 8446 §5 and RFC 5246 §6.2.3.3. It knows nothing of their content
// and of connections.

import (
	"crypto/cipher"
	"crypto/tls"
	"encoding/binary"
	"slices"
)

// recordType is the content type of a record.
type recordType byte

const (
	typeChangeCipherSpec recordType = 20
	typeAlert            recordType = 21
	typeHandshake        recordType = 22
	typeData             recordType = 23
)

const (
	headerLen    = 5     // type, version, length
	explicitLen  = 8     // the part of the nonce that TLS 1.2 AES-GCM records carry
	maxPlaintext = 16384 // RFC 8446 §5.1: «The length MUST NOT exceed 2^14 bytes.»
)

// maxOverhead bounds the bytes that protection adds to a plaintext: 29 with TLS 1.2 AES-GCM. TLS 1.3 adds 22.
const maxOverhead = headerLen + explicitLen + tagLen

// keyUpdateLen is the length of a KeyUpdate in its record.
const keyUpdateLen = headerLen + 5 + 1 + tagLen

// RecordOverhead bounds the bytes that [Conn.Write] adds to n bytes of plaintext: 29 for each record of 16 KiB, and 27
// once for a change of keys. Pending bytes are not included: see [Conn.Pending].
func RecordOverhead(n int) int {
	return max(1, (n+maxPlaintext-1)/maxPlaintext)*maxOverhead + keyUpdateLen
}

// scratch is memory for arguments of an AEAD. It lies beside the connections: on the stack it would escape to the heap
// with each record.
type scratch struct {
	nonce [ivLen]byte
	extra [13]byte
}

// setNonce writes the nonce of h's next record.
//
// RFC 8446 §5.3 (and RFC 7905 §2 for ChaCha20 in TLS 1.2): «The 64-bit record sequence number is encoded in network
// byte order and padded to the left with zeros to iv_length. The padded sequence number is XORed with either the static
// client_write_iv or server_write_iv». AES-GCM in TLS 1.2 puts the salt and the record's own 8 bytes together.
func (m *scratch) setNonce(h *half, explicit []byte) {
	m.nonce = h.iv
	if explicit != nil {
		copy(m.nonce[4:], explicit)
		return
	}
	tail := m.nonce[ivLen-8:]
	binary.BigEndian.PutUint64(tail, binary.BigEndian.Uint64(tail)^h.seq)
}

// setExtra12 writes the additional data of a TLS 1.2 record.
//
// RFC 5246 §6.2.3.3: «additional_data = seq_num + TLSCompressed.type + TLSCompressed.version + TLSCompressed.length».
func (m *scratch) setExtra12(h *half, typ recordType, n int) {
	binary.BigEndian.PutUint64(m.extra[:], h.seq)
	m.extra[8], m.extra[9], m.extra[10] = byte(typ), 3, 3
	m.extra[11], m.extra[12] = byte(n>>8), byte(n)
}

// seal appends one record with the payload, at most [maxPlaintext] bytes, to dst, which does not overlap it. It does
// not allocate if dst has maxOverhead bytes more room than the payload needs.
func seal(m *scratch, h *half, s *suite, version uint16, dst []byte, typ recordType, payload []byte) []byte {
	dst = slices.Grow(dst, len(payload)+maxOverhead)
	start := len(dst)
	var extra []byte
	if version == tls.VersionTLS13 {
		// RFC 8446 §5.2: «opaque_type: The outer opaque_type field of a TLSCiphertext record is always set to the value
		// 23», «legacy_record_version: always set to 0x0303».
		dst = appendHeader(dst, typeData, len(payload)+1+tagLen)
		dst = append(dst, payload...)
		dst = append(dst, byte(typ))
		m.setNonce(h, nil)
		extra = dst[start : start+headerLen]
		start += headerLen
	} else {
		explicit := 0
		if s.explicit {
			explicit = explicitLen
		}
		dst = appendHeader(dst, typ, explicit+len(payload)+tagLen)
		start += headerLen + explicit
		if s.explicit {
			dst = binary.BigEndian.AppendUint64(dst, h.seq)
			m.setNonce(h, dst[start-explicitLen:])
		} else {
			m.setNonce(h, nil)
		}
		dst = append(dst, payload...)
		m.setExtra12(h, typ, len(payload))
		extra = m.extra[:]
	}
	body := dst[start:]
	sealed := h.aead.Seal(body[:0], m.nonce[:], body, extra)
	h.seq++
	return dst[:start+len(sealed)]
}

// appendHeader appends the header of a record with n bytes behind it.
func appendHeader(dst []byte, typ recordType, n int) []byte {
	return append(dst, byte(typ), 3, 3, byte(n>>8), byte(n))
}

// checkHeader checks the header of a protected record; hdr has headerLen bytes at least. It returns the length of the
// whole record, or the alert that ends the connection.
func checkHeader(version uint16, hdr []byte) (int, alert) {
	n := int(hdr[3])<<8 | int(hdr[4])
	if version == tls.VersionTLS13 {
		// A change_cipher_spec record may come only before the client's Finished, which crypto/tls has read. RFC 8446
		// §5: «An implementation which receives any other change_cipher_spec value or which receives a protected
		// change_cipher_spec record MUST abort the handshake with an "unexpected_message" alert.»
		if recordType(hdr[0]) != typeData {
			return 0, alertUnexpectedMessage
		}
		// RFC 8446 §5.2: «The length MUST NOT exceed 2^14 + 256 bytes. An endpoint that receives a record that exceeds
		// this length MUST terminate the connection with a "record_overflow" alert.»
		if n > maxPlaintext+256 {
			return 0, alertRecordOverflow
		}
		return headerLen + n, 0
	}
	if t := recordType(hdr[0]); t < typeChangeCipherSpec || t > typeData {
		return 0, alertUnexpectedMessage
	}
	if hdr[1] != 3 || hdr[2] != 3 {
		return 0, alertProtocolVersion
	}
	// RFC 5246 §6.2.3: «The length MUST NOT exceed 2^14 + 2048.»
	if n > maxPlaintext+2048 {
		return 0, alertRecordOverflow
	}
	return headerLen + n, 0
}

// open takes the protection off a whole record, in place. It returns the record's type and its content, which lies in
// rec, or the alert that ends the connection.
func open(m *scratch, h *half, s *suite, version uint16, rec []byte) (recordType, []byte, alert) {
	if version == tls.VersionTLS13 {
		return open13(m, h, rec)
	}
	typ, body := recordType(rec[0]), rec[headerLen:]
	var explicit []byte
	if s.explicit {
		if len(body) < explicitLen {
			return 0, nil, alertBadRecordMAC
		}
		explicit, body = body[:explicitLen], body[explicitLen:]
	}
	if len(body) < tagLen {
		return 0, nil, alertBadRecordMAC
	}
	m.setNonce(h, explicit)
	m.setExtra12(h, typ, len(body)-tagLen)
	plain, ok := openAEAD(h.aead, m, body, m.extra[:])
	if !ok {
		return 0, nil, alertBadRecordMAC
	}
	if len(plain) > maxPlaintext {
		return 0, nil, alertRecordOverflow
	}
	h.seq++
	return typ, plain, 0
}

// open13 is open for TLS 1.3.
func open13(m *scratch, h *half, rec []byte) (recordType, []byte, alert) {
	m.setNonce(h, nil)
	plain, ok := openAEAD(h.aead, m, rec[headerLen:], rec[:headerLen])
	if !ok {
		// RFC 8446 §5.2: «If the decryption fails, the receiver MUST terminate the connection with a "bad_record_mac"
		// alert.»
		return 0, nil, alertBadRecordMAC
	}
	// RFC 8446 §5.4: «the full encoded TLSInnerPlaintext MUST NOT exceed 2^14 + 1 octets».
	if len(plain) > maxPlaintext+1 {
		return 0, nil, alertRecordOverflow
	}
	h.seq++
	// RFC 8446 §5.4: «the receiving implementation scans the field from the end toward the beginning until it finds a
	// non-zero octet. This non-zero octet is the content type of the message.»
	for i := len(plain) - 1; i >= 0; i-- {
		if plain[i] != 0 {
			return recordType(plain[i]), plain[:i], 0
		}
	}
	// RFC 8446 §5.4: «If a receiving implementation does not find a non-zero octet in the cleartext, it MUST terminate
	// the connection with an "unexpected_message" alert.»
	return 0, nil, alertUnexpectedMessage
}

// openAEAD decrypts body in place.
func openAEAD(a cipher.AEAD, m *scratch, body, extra []byte) ([]byte, bool) {
	plain, err := a.Open(body[:0], m.nonce[:], body, extra)
	return plain, err == nil
}
