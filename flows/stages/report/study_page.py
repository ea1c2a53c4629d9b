def study_page(s, a): return "x"
def study_markdown(s, a): return "x"
