import {
  AppLayoutToolbar,
  type AppLayoutProps,
  Box,
  BreadcrumbGroup,
  Flashbar,
  SideNavigation,
  type SideNavigationProps,
  Spinner,
} from "@cloudscape-design/components";
import { useEffect, useRef, useState, type ReactNode } from "react";
import { NavigationType, useLocation, useNavigate, useNavigationType } from "react-router";
import { text } from "../text/shell";
import { useNotifications } from "./notifications";
import { usePreferences } from "./preferences";

const t = text.navigation;
const link = (label: string, path: string): SideNavigationProps.Item => ({
  type: "link",
  text: label,
  href: `#${path}`,
});

const navigation: SideNavigationProps.Item[] = [
  link(t.instances, "/Instances"),
  {
    type: "section",
    text: t.network,
    items: [
      link(t.securityGroups, "/SecurityGroups"),
      link(t.networkInterfaces, "/NetworkInterfaces"),
      link(t.prefixLists, "/PrefixLists"),
    ],
  },
  {
    type: "section",
    text: t.vpc,
    items: [link(t.vpcs, "/Vpcs"), link(t.subnets, "/Subnets"), link(t.peerings, "/PeeringConnections")],
  },
  { type: "section", text: t.tools, items: [link(t.why, "/Why")] },
];

export interface PageProps {
  /** Of the browser's tab. */
  title: string;
  /** From the resource's list to this page; the last one is this page. */
  breadcrumbs: { text: string; href: string }[];
  children: ReactNode;
  contentType?: AppLayoutProps.ContentType;
  splitPanel?: ReactNode;
  splitPanelOpen?: boolean;
  onSplitPanelToggle?: (open: boolean) => void;
}

// On a phone the navigation lies above the page and closes by itself: nobody chose that.
const width = () => matchMedia("(min-width: 689px)");
const isWide = () => width().matches;

/** Page is the frame that every page stands in: navigation, breadcrumbs, messages, the panel below a list. */
export function Page(props: PageProps) {
  const { preferences, change } = usePreferences();
  const { pathname } = useLocation();
  const arrived = useNavigationType();
  const navigate = useNavigate();
  const items = useNotifications();
  const [navigationOpen, setNavigationOpen] = useState(preferences.navigationOpen && isWide());
  const { navigationOpen: wanted } = preferences;
  useEffect(() => {
    const wide = width();
    const turned = () => setNavigationOpen(wanted && wide.matches);
    wide.addEventListener("change", turned);
    return () => wide.removeEventListener("change", turned);
  }, [wanted]);
  useEffect(() => {
    document.title = `${props.title} | ${text.product}`;
  }, [props.title]);
  // Who saves at the end of a long form is told at the top of the next page. Back and forward are the browser's own.
  const scrolled = useRef<string>(undefined);
  useEffect(() => {
    if (scrolled.current !== pathname && arrived !== NavigationType.Pop) scrollTo(0, 0);
    scrolled.current = pathname; // a tab of the same page is no other page
  }, [arrived, pathname]);
  const follow = (event: CustomEvent<{ href?: string; external?: boolean }> | Event) => {
    const { href, external } = (event as CustomEvent<{ href?: string; external?: boolean }>).detail;
    if (external || !href?.startsWith("#")) return;
    event.preventDefault();
    void navigate(href.slice(1));
  };
  return (
    <AppLayoutToolbar
      headerSelector="#top-bar"
      toolsHide
      contentType={props.contentType}
      navigationOpen={navigationOpen}
      onNavigationChange={(e) => {
        setNavigationOpen(e.detail.open);
        if (isWide()) change({ navigationOpen: e.detail.open });
      }}
      navigation={
        <SideNavigation
          header={{ text: text.product, href: "#/" }}
          items={navigation}
          activeHref={`#/${pathname.split("/")[1] ?? ""}`}
          onFollow={follow}
        />
      }
      breadcrumbs={<BreadcrumbGroup items={props.breadcrumbs} onFollow={follow} />}
      stickyNotifications
      notifications={<Flashbar items={items} stackItems={items.length > 3} />}
      content={props.children}
      splitPanel={props.splitPanel}
      splitPanelOpen={props.splitPanelOpen ?? false}
      onSplitPanelToggle={(e) => props.onSplitPanelToggle?.(e.detail.open)}
    />
  );
}

export function LoadingPage() {
  return (
    <Box textAlign="center" padding="xxl">
      <Spinner size="large" /> <Box variant="span">{text.loading}</Box>
    </Box>
  );
}

export function NotFoundPage() {
  return (
    <Page title={text.notFound.title} breadcrumbs={[]}>
      <Box variant="h1">{text.notFound.title}</Box>
      <Box variant="p">{text.notFound.body}</Box>
    </Page>
  );
}
