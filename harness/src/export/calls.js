async function make(step) {
  if (step.wait) await new Promise((done) => setTimeout(done, step.wait));
  let seen;
  for (let i = 0; i < step.repeat; i++) seen = await once(step);
  return seen;
}
async function once(step) {
  // Nobody but the reader knows the password.
  if (step.login) step.body = JSON.stringify({ ...JSON.parse(step.body), password: prompt('Password of the account demo') });
  if (step.client === 'fetch') {
    try {
      const init = { method: step.method, headers: step.headers };
      for (const key of ['body', 'credentials', 'mode', 'redirect']) if (step[key] !== null) init[key] = step[key];
      const response = await fetch(step.url, init);
      await response.text();
      return { readable: !response.type.startsWith('opaque'), status: response.status };
    } catch (error) {
      return { readable: false, status: 0, error: String(error) };
    }
  }
  if (step.client === 'xhr') {
    return new Promise((done) => {
      const xhr = new XMLHttpRequest();
      xhr.onload = () => done({ readable: true, status: xhr.status });
      xhr.onerror = () => done({ readable: false, status: 0, error: 'error event' });
      try {
        xhr.open(step.method, step.url);
        xhr.withCredentials = step.credentials === 'include';
        for (const [name, value] of step.headers) xhr.setRequestHeader(name, value);
        xhr.send(step.body);
      } catch (error) {
        done({ readable: false, status: 0, error: String(error) });
      }
    });
  }
  if (step.client === 'image') {
    return new Promise((done) => {
      const image = new Image();
      if (step.credentials) image.crossOrigin = step.credentials === 'include' ? 'use-credentials' : 'anonymous';
      image.onload = image.onerror = (event) => done({ readable: false, status: 0, error: event.type });
      image.src = step.url;
    });
  }
  return { skipped: `${step.client}: the page would be left; do it by hand` };
}
