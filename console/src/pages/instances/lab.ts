import type { Lab } from "../../api/instances";
import { text } from "../../text/launch-instance";

/** whyNotLaunch says why no lab guest can be launched; undefined: one can. */
export function whyNotLaunch(lab: Lab): string | undefined {
  if (!lab.imageId) return text.noImage;
  return lab.room > 0 ? undefined : text.noHost;
}
