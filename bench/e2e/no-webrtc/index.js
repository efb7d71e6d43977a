// The npm client libraries import WebRTC for Node at load time, even for a
// client that only talks to the tracker, and the real package is a native
// build that not every machine can make. Here WebRTC runs in Chromium and in
// Go; in Node there is none, and these names say so to whoever looks.
export const RTCPeerConnection = undefined
export const RTCSessionDescription = undefined
export const RTCIceCandidate = undefined
