/** Red-free light, contrast and brightness: of the picture on the screen only, never of what is measured. */

export class Light {
  redFree = false;
  #image;
  #contrast;
  #brightness;
  #toggle;

  constructor(image, {contrast, brightness, toggle}) {
    [this.#image, this.#contrast, this.#brightness, this.#toggle] = [image, contrast, brightness, toggle];
    for (const slider of [contrast, brightness]) slider.addEventListener("input", () => this.#apply());
    this.#apply();
  }

  toggleRedFree() {
    this.redFree = !this.redFree;
    this.#apply();
  }

  /** More contrast (1) or less (-1), by a step of the slider. */
  step(direction) {
    if (direction > 0) this.#contrast.stepUp();
    else this.#contrast.stepDown();
    this.#apply();
  }

  reset() {
    this.redFree = false;
    for (const slider of [this.#contrast, this.#brightness]) slider.value = slider.defaultValue;
    this.#apply();
  }

  #apply() {
    // Green alone, as through the red-free filter of a slit lamp: vessels and the rim's edge stand out.
    const green = this.redFree ? "url(#red-free) " : "";
    this.#image.style.filter = `${green}contrast(${this.#contrast.value}%) brightness(${this.#brightness.value}%)`;
    this.#toggle.ariaPressed = String(this.redFree);
  }
}
