let pressed = false;
const set = (down: boolean) => () => {
  pressed = down;
};
addEventListener("pointerdown", set(true), true);
addEventListener("pointerup", set(false), true);
addEventListener("pointercancel", set(false), true);

/** afterClick does what leaving a field comes to. While a button of the mouse is down that waits for the click: what
 * appears below a field would move what is being clicked away from under the pointer. */
export function afterClick(leave: () => void) {
  if (!pressed) return leave();
  addEventListener("pointerup", () => setTimeout(leave), { once: true });
}
