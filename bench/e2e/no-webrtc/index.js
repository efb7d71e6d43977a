// The npm client libraries import WebRTC for Node at load time, even for a
// client that only talks to the tracker. The real package is a native build
// that not every machine can make. Here WebRTC runs in Chromium and in Go; Node
// has none, so these names are undefined.
export const RTCPeerConnection = undefined
export const RTCSessionDescription = undefined
export const RTCIceCandidate = undefined
