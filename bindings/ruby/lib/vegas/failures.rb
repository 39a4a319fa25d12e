# frozen_string_literal: true

module Vegas
  # Failures of a producer that nobody has looked at: said in the log after a while, and
  # raised by flush and close.
  class Failures
    LOOK = 10 # seconds that a program has to look at them
    MOST = 10_000 # are kept

    def initialize(stream)
      @stream = stream
      @lock = Mutex.new
      @kept = [] # deliveries
      @more = @logged = 0 # besides, and in the log
    end

    def add(delivery)
      @lock.synchronize do
        @kept << delivery
        gather if @kept.size >= MOST
        @look ||= Thread.new { look }
      end
    end

    # The first one, and their number. It is told once.
    def take
      @lock.synchronize do
        gather
        first = @kept.first
        count = @more + @kept.size
        @kept = []
        @more = @logged = 0
        [first, count]
      end
    end

    def log(first, count)
      Vegas.logger.error { "#{@stream}: #{count} records failed and nobody looked at it, the first: #{first.failure.message}" }
    end

    private

    # Forgets all but the first that nobody has looked at, with @lock held.
    def gather
      @kept.select!(&:overlooked?)
      return if @kept.empty?

      @more += @kept.size - 1
      @kept = @kept.first(1)
    end

    # Looks now and then, as long as there are new ones.
    def look
      loop do
        sleep(LOOK)
        first = count = nil
        @lock.synchronize do
          gather
          first = @kept.first
          count = @more + @kept.size - @logged
          return @look = nil unless first && count.positive?

          @logged += count
        end
        log(first, count)
      end
    end
  end
end
