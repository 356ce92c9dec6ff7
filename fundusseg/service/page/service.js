/** The HTTP API: problems become errors, a busy service is asked again, a token is asked for once. */

import {announce} from "./announce.js";
import {say} from "./strings.js";

const TOKEN = "fundusseg token";
const TRIES = 60;

/** What went wrong, in the service's own sentence. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

let askForToken = async () => null;

/** What is called, and awaited for the token, when the service wants one. */
export function onTokenNeeded(ask) {
  askForToken = ask;
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

function address(path, query) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

async function problem(response) {
  const said = await response.json().catch(() => ({}));
  return new Problem(response.status, said.detail ?? said.title ?? `${response.status} ${response.statusText}`);
}

async function send(path, query, options) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = {...options.headers, ...(token && {Authorization: `Bearer ${token}`})};
  try {
    return await fetch(address(path, query), {...options, headers});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, say("unreachable"));
  }
}

/** Send a request; the response is one that succeeded. Of a busy service (503) it is sent again, `patient` or not. */
export async function request(path, {query = {}, patient = true, ...options} = {}) {
  for (let tries = 0; ; tries += 1) {
    const response = await send(path, query, options);
    if (response.ok) return response;
    if (response.status === 401) {
      const token = await askForToken();
      if (token === null) throw await problem(response);
      sessionStorage.setItem(TOKEN, token);
    } else if (response.status === 503 && patient && tries < TRIES) {
      announce(say("busy"));
      await pause(Number(response.headers.get("Retry-After")) || 1);
    } else {
      throw await problem(response);
    }
  }
}

export const get = async (path, query) => (await request(path, {query})).json();

/** Send plain data. */
export async function post(path, content, options = {}) {
  const body = JSON.stringify(content);
  const headers = {"Content-Type": "application/json"};
  return (await request(path, {method: "POST", body, headers, ...options})).json();
}

/** Send a photograph. */
export function sendFile(path, file, query = {}) {
  const body = new FormData();
  body.append("file", file, file.name);
  return request(path, {method: "POST", body, query});
}

/** Keep an answer as a file of the user's. */
export async function download(path, query, name) {
  saveAs(await (await request(path, {query})).blob(), name);
}

export function saveAs(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** A random UUID; crypto.randomUUID itself is there only on https and on this machine. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
