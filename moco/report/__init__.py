"""What came of a search, made from its run folder alone: the HTML page, the console's summary, the model card."""
