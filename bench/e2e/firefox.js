// Has two clients in headless Firefox exchange offers and answers of its own: the arguments are the path of Firefox and the tracker's
// URL. It ends with 0 if every message came through, and prints the extension that Firefox and the tracker have agreed on.
import puppeteer from 'puppeteer-core'

const [program, url] = process.argv.slice(2)
const browser = await puppeteer.launch({ browser: 'firefox', executablePath: program, headless: true })

// exchange runs in the page.
async function exchange (url) {
  const open = () => new Promise((resolve, reject) => {
    const socket = new WebSocket(url)
    const come = []
    const wanted = []
    socket.onmessage = event => {
      const message = JSON.parse(event.data)
      if (wanted.length > 0) wanted.shift()(message)
      else come.push(message)
    }
    socket.next = () => new Promise(resolve => come.length > 0 ? resolve(come.shift()) : wanted.push(resolve))
    socket.onopen = () => resolve(socket)
    socket.onerror = () => reject(new Error('cannot connect to ' + url))
  })
  const [first, second] = [await open(), await open()]
  const announce = (peer, more) => JSON.stringify({
    action: 'announce', info_hash: 'h'.repeat(20), peer_id: peer.repeat(20), left: 1, numwant: 5, offers: [], ...more
  })
  first.send(announce('a'))
  await first.next()
  for (let k = 0; k < 5; k++) {
    const connection = new RTCPeerConnection()
    connection.createDataChannel('data')
    const { sdp } = await connection.createOffer()
    connection.close()
    const id = String(k).padEnd(20, 'o')
    second.send(announce('b', { offers: [{ offer_id: id, offer: { type: 'offer', sdp } }] }))
    await second.next()
    const offer = await first.next()
    first.send(announce('a', { to_peer_id: offer.peer_id, offer_id: id, offers: undefined, answer: { type: 'answer', sdp } }))
    const answer = await second.next()
    if (offer.offer.sdp !== sdp || answer.answer.sdp !== sdp || answer.offer_id !== id) throw new Error(`offer ${k} has changed`)
  }
  return first.extensions
}

try {
  const page = await browser.newPage()
  console.log(await page.evaluate(exchange, url))
} finally {
  await browser.close()
}
