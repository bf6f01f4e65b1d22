// SPDX-License-Identifier: Apache-2.0
const retryMinMs = 1_000;
const retryMaxMs = 10_000;
// The relay says something every five seconds.
const silenceMs = 15_000;

/** What has gone wrong, in words for people; what the browser throws has none. */
class StreamError extends Error {}

async function messageOf(response) {
  try {
    return (await response.json()).message ?? response.statusText;
  } catch {
    return response.statusText;
  }
}

/** The lines of a stream of bytes. */
async function* linesOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split('\n');
    rest = parts.pop();
    yield* parts;
  }
}

/**
 * Reads flows for as long as the page is open: comes back when the relay or the network was away. `onLine` gets each line of the
 * stream, `onState` what has become of it: `connecting`, `live`, `away` (with a message, and when it tries again), `token` (one
 * is needed) or `refused` (the filter is wrong; nothing happens until there is another).
 */
export function createFlowClient({ onLine, onState, token }) {
  let current = new AbortController();
  let retryMs = retryMinMs;
  let request = {};

  const watch = (own) => {
    let timer;
    return {
      alive() {
        clearTimeout(timer);
        timer = setTimeout(() => own.abort(new StreamError('The relay has not said anything for a while')), silenceMs);
      },
      end: () => clearTimeout(timer),
    };
  };

  /** Reads one stream to its end. The result says whether to try again. */
  const read = async (own) => {
    const shown = token();
    const headers = { 'content-type': 'application/json', ...(shown && { authorization: `Bearer ${shown}` }) };
    const silence = watch(own);
    try {
      silence.alive();
      const response = await fetch('/flows', {
        ...{ method: 'POST', body: JSON.stringify(request), headers, signal: own.signal },
        ...{ cache: 'no-store', credentials: 'omit' },
      });
      if (!response.ok) {
        const message = await messageOf(response);
        if (response.status >= 500) throw new StreamError(message);
        onState({ kind: response.status === 401 ? 'token' : 'refused', message });
        return false;
      }
      onState({ kind: 'live' });
      retryMs = retryMinMs;
      for await (const line of linesOf(response.body)) {
        silence.alive();
        onLine(JSON.parse(line));
      }
      throw new StreamError('The relay has ended the stream');
    } finally {
      silence.end();
    }
  };

  const run = async (own) => {
    while (own === current) {
      let message = 'The relay cannot be reached';
      const stream = new AbortController();
      own.signal.addEventListener('abort', () => stream.abort(), { once: true });
      try {
        if (!(await read(stream))) return;
      } catch (error) {
        if (error instanceof StreamError) ({ message } = error);
      }
      if (own !== current) return;
      onState({ kind: 'away', message, retryMs });
      await new Promise((resolve) => setTimeout(resolve, retryMs));
      retryMs = Math.min(retryMs * 2, retryMaxMs);
    }
  };

  return {
    /** Asks anew, for other flows. */
    ask(wanted) {
      request = wanted;
      current.abort();
      current = new AbortController();
      onState({ kind: 'connecting' });
      void run(current);
    },
  };
}
