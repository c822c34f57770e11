import { TopNavigation, type TopNavigationProps } from "@cloudscape-design/components";
import { GlobalSearch } from "../components/global-search";
import { useSession } from "../session";
import { text } from "../text/shell";
import { usePreferences } from "./preferences";

const s = text.settings;

/** TopBar is what stands above every page: the product, the search, settings, who is signed in. */
export function TopBar() {
  const { session, signOut } = useSession();
  const { preferences, change } = usePreferences();
  const choice = (id: string, label: string, chosen: boolean) => ({
    id,
    text: label,
    itemType: "checkbox" as const,
    checked: chosen,
  });
  const utilities: TopNavigationProps.Utility[] = [
    {
      type: "menu-dropdown",
      iconName: "settings",
      ariaLabel: s.label,
      title: s.label,
      items: [
        {
          text: s.theme,
          items: [
            choice("theme:light", s.light, preferences.theme === "light"),
            choice("theme:dark", s.dark, preferences.theme === "dark"),
            choice("theme:system", s.asSystem, preferences.theme === "system"),
          ],
        },
        {
          text: s.density,
          items: [
            choice("density:comfortable", s.comfortable, preferences.density === "comfortable"),
            choice("density:compact", s.compact, preferences.density === "compact"),
          ],
        },
      ],
      onItemClick: (e) => {
        const [what, value] = e.detail.id.split(":");
        change({ [what!]: value });
      },
    },
    {
      type: "menu-dropdown",
      iconName: "user-profile",
      text: session?.UserName,
      description: session && text.user.account(session.Account),
      items: [
        { id: "role", text: text.user.role(session?.Role ?? ""), disabled: true },
        { id: "sign-out", text: text.user.signOut },
      ],
      onItemClick: (e) => {
        if (e.detail.id === "sign-out") void signOut();
      },
    },
  ];
  return (
    <div id="top-bar" style={{ position: "sticky", top: 0, zIndex: 1002 }}>
      <TopNavigation identity={{ href: "#/", title: text.product }} search={<GlobalSearch />} utilities={utilities} />
    </div>
  );
}
