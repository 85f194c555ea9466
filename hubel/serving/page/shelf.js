// The shelf of test pictures, with the network's worst mistakes first; and the camera.

import { classChoice } from "./answer.js";
import * as api from "./api.js";
import { by, make, wait } from "./dom.js";
import { share, t } from "./i18n.js";

const PAGE = 48;

export async function openShelf(view, use, failed) {
  const box = by("shelf"), { classes, samples } = view.facts;
  const body = make("div", { className: "thumbs" });
  const which = make("select", {}, make("option", { value: "mistakes" }, t("worst")), make("option", { value: "" }, t("any")));
  const label = classChoice(t("trueClass"), classes, { none: t("any"), named: true });
  const more = make("button", { type: "button", hidden: true }, t("more"));
  let offset = 0;

  const load = async (begin) => {
    if (begin === 0) wait(body, t("loading"));
    offset = begin;
    const asked = new URLSearchParams({ offset, limit: PAGE, ...(which.value ? { mistakes: true } : {}), ...(label.value ? { label: label.value } : {}) });
    const found = await api.get(`${view.base}/samples?${asked}`);
    const thumbs = found.samples.map((one) => thumb(one));
    if (begin) body.append(...thumbs);
    else if (found.total) body.replaceChildren(...thumbs);
    else wait(body, t(which.value ? "noMistakes" : "noneHere"));
    more.hidden = offset + found.samples.length >= found.total;
    if (!begin) body.querySelector("button")?.focus();
  };
  const thumb = (one) => {
    const image = make("img", { alt: "", width: 56, height: 56, loading: "lazy" });
    api.picture(`${view.base}/samples/${one.id}`).then((address) => (image.src = address), () => {});
    const truth = one.label ? t("truth", { label: one.label }) : one.item;
    const says = one.answer && one.right === false ? `${t("says", { answer: one.answer })} ${share(one.p)}` : "";
    return make("button", { type: "button", className: one.right === false ? "wrong" : "", title: one.item, onclick: async () => {
      box.close();
      try {
        await image.decode();
        use(one, image);
      } catch (e) {
        failed(e);
      }
    } }, image, make("span", {}, truth), make("small", {}, says));
  };

  const head = make("div", { className: "fields" }, make("label", {}, make("span", {}, t("samples")), which), make("label", {}, make("span", {}, t("trueClass")), label.root));
  const close = make("button", { type: "button", className: "quiet close", ariaLabel: t("close"), onclick: () => box.close() }, "×");
  box.replaceChildren(close, head, samples ? body : make("p", {}, t("noSamples")), more);
  box.showModal();
  if (!samples) return;
  const again = () => load(0).catch((e) => (box.close(), failed(e)));
  which.onchange = label.onchange = again;
  more.onclick = () => load(offset + PAGE).catch(failed);
  await again();
}

// Browsers lend the camera to pages of this machine or of https alone; elsewhere a phone's own camera takes the picture.
// The picture has the proportions of the network's input, and the box shows what will be on it.
export async function openCamera([, H, W], use, tell) {
  const box = by("camera-box");
  if (!navigator.mediaDevices) return by("photo").click();
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (e) {
    return tell(t("noCamera", { why: e.message }));
  }
  const video = make("video", { srcObject: stream, autoplay: true, playsInline: true, muted: true });
  video.style.aspectRatio = `${W} / ${H}`;
  const take = () => {
    const scale = Math.min(video.videoWidth / W, video.videoHeight / H), [width, height] = [Math.round(W * scale), Math.round(H * scale)];
    const canvas = make("canvas", { width, height });
    canvas.getContext("2d").drawImage(video, (video.videoWidth - width) / 2, (video.videoHeight - height) / 2, width, height, 0, 0, width, height);
    canvas.toBlob((blob) => use(blob), "image/png");
    box.close();
  };
  box.onclose = () => stream.getTracks().forEach((track) => track.stop());
  box.replaceChildren(video, make("div", { className: "buttons" }, make("button", { type: "button", className: "main", onclick: take }, t("take")), make("button", { type: "button", onclick: () => box.close() }, t("close"))));
  box.showModal();
}
