"""What speaks for a phrase as a name: shared words (`overlap`) and vectors (`meaning`), compared with those of the
nearest clusters (`contrast`); what a chosen name is worth (`measures`), and a sentence beside it (`summaries`)."""
