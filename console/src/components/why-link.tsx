import { Link } from "@cloudscape-design/components";
import { text } from "../text/why";

/** whyHref is the address of the page Why? with one end, or both, filled in. */
export const whyHref = (ends: { from?: string; to?: string }) => `#/Why?${new URLSearchParams(ends).toString()}`;

/** WhyLink leads to the page Why?, to ask who can reach an instance or an interface. */
export const WhyLink = ({ to }: { to: string }) => (
  <Link href={whyHref({ to })} ariaLabel={text.toThis(to)}>
    {text.title}
  </Link>
);
