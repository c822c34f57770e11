import { applyDensity, applyMode, Density, Mode } from "@cloudscape-design/global-styles";
import { createContext, createElement, useContext, useEffect, useState, type ReactNode } from "react";

/** What a person chose of how pages look. Nothing else is ever stored in the browser. */
export interface Preferences {
  theme: "light" | "dark" | "system";
  density: "comfortable" | "compact";
  navigationOpen: boolean;
  /** By list: what its ResourceTable keeps. */
  tables: Record<string, unknown>;
}

const defaults: Preferences = { theme: "system", density: "comfortable", navigationOpen: true, tables: {} };
const key = "sallyport.preferences";

function load(): Preferences {
  try {
    return { ...defaults, ...(JSON.parse(localStorage.getItem(key) ?? "{}") as Partial<Preferences>) };
  } catch {
    return defaults; // damaged, or storage is forbidden
  }
}

interface State {
  preferences: Preferences;
  change: (part: Partial<Preferences>) => void;
}

const Context = createContext<State>({ preferences: defaults, change: () => {} });

export const usePreferences = () => useContext(Context);

export function PreferencesProvider({ children }: { children: ReactNode }) {
  const [preferences, setPreferences] = useState(load);
  useEffect(() => {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const show = () => {
      const dark = preferences.theme === "system" ? system.matches : preferences.theme === "dark";
      applyMode(dark ? Mode.Dark : Mode.Light);
      applyDensity(preferences.density === "compact" ? Density.Compact : Density.Comfortable);
    };
    show();
    system.addEventListener("change", show);
    return () => system.removeEventListener("change", show);
  }, [preferences.theme, preferences.density]);
  const change = (part: Partial<Preferences>) =>
    setPreferences((old) => {
      const now = { ...old, ...part };
      try {
        localStorage.setItem(key, JSON.stringify(now));
      } catch {
        // storage is full or forbidden: it holds for this page
      }
      return now;
    });
  return createElement(Context, { value: { preferences, change } }, children);
}
