// Package e2e moves real files between real WebTorrent clients through the
// built tracker. Every other test of millrace only approximates that.
//
// The clients are anacrolix/torrent (Go, go_peer_test.go), webtorrent in
// headless Chromium (browser_peer_test.go, driven through browser.js, with the
// page in page/), webtorrent in Node (node_peer_test.go, node-peer.js, with
// WebRTC from node-webrtc/) and the npm bittorrent-tracker client in Node
// (node-client.js). transfer_test.go has the tests: each pair of clients, by
// .torrent file and by magnet link, over each of the tracker's settings and
// over TLS, with a certificate that certificate_test.go makes. proxy_test.go
// puts nginx and HAProxy in front of the tracker, address_test.go shows whose
// address counts then. faults_test.go plays an operator's faults and holds the
// table of OPERATING.md. upgrade_test.go replaces the tracker under the clients.
// cluster_test.go has clients on different nodes of a cluster, with a NATS
// server (nats_test.go); cluster_faults_test.go kills and stops both of them
// under a load (cluster_swarm_test.go), cluster_secure_test.go shows how nodes
// prove who they are.
//
// "make e2e" installs missing programs and runs the tests; see run.sh. After
// that "go test" in this folder is enough. Node 18 with npm 9 will do. The
// environment may set
//
//	MILLRACE_BIN           the tracker's program; without it, ../../bin/millrace
//	MILLRACE_E2E_TRACKER   the URL of a tracker that runs already, used instead of MILLRACE_BIN:
//	                       the reference, "npx bittorrent-tracker --ws --port 8000", passes as ws://127.0.0.1:8000
//	                       (ThroughProxyProtocol, IdleThroughProxy and ClientAddress test functions that it lacks:
//	                       they run MILLRACE_BIN all the same)
//	CHROMIUM               the Chromium program; without it, the first one on PATH
//	FIREFOX                the same of Firefox
//
// This folder is a module of its own, so that the clients' many dependencies
// stay out of the tracker's go.mod.
package e2e
