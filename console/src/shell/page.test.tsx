import { fireEvent, render, screen } from "@testing-library/react";
import { Link, MemoryRouter, Route, Routes } from "react-router";
import { beforeEach, expect, test, vi } from "vitest";
import { Page } from "./page";

vi.stubGlobal("matchMedia", () => ({ matches: true, addEventListener() {}, removeEventListener() {} }));
const scrolled = vi.fn();
beforeEach(() => {
  scrolled.mockClear();
  vi.stubGlobal("scrollTo", scrolled);
});

const page = (title: string, to: string) => (
  <Page title={title} breadcrumbs={[]}>
    <Link to={to}>on from {title}</Link>
  </Page>
);

test("another page begins at its top, another tab of it does not", async () => {
  render(
    <MemoryRouter initialEntries={["/form"]}>
      <Routes>
        <Route path="/form" element={page("form", "/group")} />
        <Route path="/group" element={page("group", "/group?tab=tags")} />
      </Routes>
    </MemoryRouter>,
  );
  expect(scrolled).not.toHaveBeenCalled();
  fireEvent.click(await screen.findByText("on from form"));
  fireEvent.click(await screen.findByText("on from group"));
  expect(scrolled.mock.calls).toEqual([[0, 0]]);
});
