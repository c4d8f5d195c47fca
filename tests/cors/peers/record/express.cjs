// express' side of record.py: a server of its own for each case, asked over a socket, because node's
// clients join and drop repeated lines. The argument is the folder where the packages are.

const fs = require('node:fs');
const net = require('node:net');
const { createRequire } = require('node:module');

const load = createRequire(`${process.argv[2]}/`);
const express = load('express');
const cors = load('cors');

// A regular expression cannot stand in a table.
const option = (value) => {
  if (Array.isArray(value)) return value.map(option);
  return value && value.regex ? new RegExp(value.regex) : value;
};

async function ask({ options, method, request, handler }) {
  const app = express();
  app.set('env', 'test'); // errors are not printed
  app.use(cors(Object.fromEntries(Object.entries(options).map(([key, value]) => [key, option(value)]))));
  let reached = false;
  app.use((_request, response) => {
    reached = true;
    if (handler.fails) throw new Error('the handler fails');
    response.status(handler.status);
    for (const line of handler.headers) {
      const [name, value] = line.split(': ');
      if (name.toLowerCase() === 'vary') response.vary(value);
      else response.setHeader(name, value);
    }
    response.end();
  });
  const server = app.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const socket = net.connect(server.address().port, '127.0.0.1');
  socket.write([`${method} / HTTP/1.1`, 'Host: x', 'Connection: close', ...request, '', ''].join('\r\n'));
  let answer = '';
  for await (const piece of socket) answer += piece.toString('latin1');
  server.close();
  const [first, ...lines] = answer.split('\r\n\r\n')[0].split('\r\n');
  const headers = lines.map((line) => line.replace(/^[^:]*/, (name) => name.toLowerCase()));
  return {
    status: Number(first.split(' ')[1]),
    handler: reached,
    headers: headers.filter((line) => /^(vary|access-control-[a-z-]+):/.test(line)),
  };
}

(async () => {
  const answers = [];
  for (const one of JSON.parse(fs.readFileSync(0, 'utf8'))) answers.push(await ask(one));
  console.log(JSON.stringify(answers));
})();
