"""The operator: observes VoiceAssistants and their children, plans what is missing, applies it and reports."""
