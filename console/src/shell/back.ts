import { useCallback } from "react";
import { useLocation, useNavigate } from "react-router";

/** useBack returns what leaves a form: to where the person came from, else, opened by its address, to a page of ours. */
export function useBack(otherwise: string): () => void {
  const navigate = useNavigate();
  const { key } = useLocation();
  return useCallback(() => {
    if (key === "default") void navigate(otherwise);
    else void navigate(-1);
  }, [navigate, key, otherwise]);
}
