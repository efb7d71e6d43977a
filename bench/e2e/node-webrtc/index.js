// WebRTC for Node, under the name by which the npm client libraries look for
// it. The package of that name wants a build that is fetched when it is
// installed; the builds of this version of node-datachannel are packages.
import {
  RTCPeerConnection as Connection, RTCSessionDescription, RTCIceCandidate
} from 'node-datachannel/polyfill'

export { RTCSessionDescription, RTCIceCandidate }

// The libraries change what they offer and answer.
const changeable = ({ type, sdp }) => ({ type, sdp })

export class RTCPeerConnection extends Connection {
  // They send it when all candidates are there, which an event without one
  // says. Without that event they would wait five seconds.
  constructor (config) {
    super(config)
    this.addEventListener('icegatheringstatechange', () => {
      if (this.iceGatheringState === 'complete') this.onicecandidate?.({ candidate: null })
    })
  }

  async createOffer () { return changeable(await super.createOffer()) }
  async createAnswer () { return changeable(await super.createAnswer()) }
}
